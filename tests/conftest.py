"""Fixtures that more than one file of tests uses."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.testbed import clones, commands

# A shell's background job ignores Ctrl-C, which tests press.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """With CI=true nothing may skip: what cannot run fails."""
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though CI=true: {report.longrepr}"


@pytest.fixture
def inv() -> Callable[..., commands.Done]:
    """Runs `./inv` with arguments at the repository's root, and gives what came of it."""
    return commands.inv


@pytest.fixture(scope="session")
def make_clone() -> Callable[[Path], Path]:
    """Copies the work tree, its new files too, into a repository with the environments here."""
    return clones.make_clone


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the work tree in a folder of its own."""
    return clones.make_clone(tmp_path / "clone")


@pytest.fixture
def port() -> int:
    """A port that is free."""
    return commands.free_port()
