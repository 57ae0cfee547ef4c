"""A registry in this process, and a clone beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.lib.registry.client import Registry
from tasks.lib.registry.reference import Reference
from tasks.lib.registry.session import Session
from tests.orchestrators.servers import Store, registry, serving
from tests.testbed.commands import git


@pytest.fixture
def store() -> type[Store]:
    """What the registry has, and was asked."""
    return registry()


@pytest.fixture
def images(store: type[Store]) -> Iterator[Registry]:
    """The client of an image's place in it."""
    with serving(store) as place:
        yield Registry(Reference.parse(f"{place}/app"), Session(place))


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Commits to a branch of the clone that is the working directory; returns the commit."""
    git(tmp_path, "init", "--initial-branch=main")
    monkeypatch.chdir(tmp_path)
    then = iter(range(1_700_000_000, 1_800_000_000))

    def make(branch: str = "main") -> str:
        git(tmp_path, "checkout", "-B", branch)
        date = f"{next(then)} +0000"
        words = ("commit", "--allow-empty", "--message", f"on {branch} at {date}")
        git(tmp_path, *words, GIT_COMMITTER_DATE=date)
        return git(tmp_path, "rev-parse", "HEAD")

    return make
