"""Worlds for the conformance suite: in memory, and on the Swarm of a lab."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.testbed.labs import started
from tests.testbed.sites import Site

from .swarm_world import Factory, swarm_world
from .world import World, memory_world

# Of the scenarios on the Swarm those that every run has; the others are slow.
ALWAYS = {
    "test_a_change_replaces_what_serves",
    "test_an_image_that_exits_is_rolled_back",
    "test_a_rollback_serves_what_was_before",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each scenario in every world."""
    if "world" in metafunc.fixturenames:
        marks = [pytest.mark.engine]
        marks += [] if metafunc.function.__name__ in ALWAYS else [pytest.mark.slow]
        worlds = ["memory", pytest.param("swarm", marks=marks)]
        metafunc.parametrize("world", worlds, indirect=True)


@pytest.fixture(scope="session")
def factory(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[Factory]:
    """Images of the app, in the registry of a lab with one server."""
    folder = tmp_path_factory.mktemp("conformance")
    with started(folder / "lab", nodes=1) as lab:
        yield Factory(Site(make_clone(folder / "clone"), lab, env="prod"))


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """An environment that nothing was deployed to yet."""
    if getattr(request, "param", "memory") == "memory":
        with memory_world(tmp_path) as made:
            yield made
    else:
        with swarm_world(request.getfixturevalue("factory"), tmp_path) as made:
            yield made
