"""Worlds for the conformance suite: in memory, on the Swarm of a lab, and on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.testbed.labs import started
from tests.testbed.sites import Site

from .compose_world import compose_world, local_site
from .kubernetes_world import kubernetes_world
from .swarm_world import Factory, swarm_world
from .world import World, memory_world

# Of the scenarios in real worlds those that every run has; the others are slow.
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
        real = [pytest.param(name, marks=marks) for name in ("swarm", "compose")]
        # What runs a cluster is built in 10 to 20 minutes, unless this machine has it.
        slow = [pytest.mark.engine, pytest.mark.slow, pytest.mark.cluster]
        worlds = ["memory", *real, pytest.param("kubernetes", marks=slow)]
        metafunc.parametrize("world", worlds, indirect=True)


@pytest.fixture(scope="session")
def factory(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[Factory]:
    """Images of the app, in the registry of a lab with one server."""
    folder = tmp_path_factory.mktemp("conformance")
    with started(folder / "lab", nodes=1) as lab:
        yield Factory(Site(make_clone(folder / "clone"), lab, env="prod"))


@pytest.fixture(scope="session")
def local_factory(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[Factory]:
    """Images of the app, in a registry of this machine."""
    folder = tmp_path_factory.mktemp("onehost")
    with local_site(folder, make_clone(folder / "clone")) as site:
        yield Factory(site)


@pytest.fixture(scope="session")
def cluster_factory(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[Factory]:
    """Images of the app, in the registry of a lab with a cluster."""
    folder = tmp_path_factory.mktemp("cluster")
    # CLUSTER names a lab that is there, and stays.
    name = os.environ.get("CLUSTER", "")
    with started(folder / "lab", name, keep=bool(name), orchestrator="kubernetes") as lab:
        state = json.loads(Path(lab["KUBECONFIG"]).with_name("lab.json").read_text())
        url = {"LAB_URL": f"http://127.0.0.1:{state['http'][0]}"}
        yield Factory(Site(make_clone(folder / "clone"), lab | url, env="prod"))


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """An environment that nothing was deployed to yet."""
    kind = getattr(request, "param", "memory")
    if kind == "memory":
        with memory_world(tmp_path) as made:
            yield made
    elif kind == "swarm":
        with swarm_world(request.getfixturevalue("factory"), tmp_path) as made:
            yield made
    elif kind == "kubernetes":
        with kubernetes_world(request.getfixturevalue("cluster_factory"), tmp_path) as made:
            yield made
    else:
        with compose_world(request.getfixturevalue("local_factory"), tmp_path) as made:
            yield made
