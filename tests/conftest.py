"""Fixtures that more than one file of tests uses."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

# Below the ports that the system hands out, so that no connection is given one meanwhile.
PORTS = range(20000, 32000)
ROOT = Path(__file__).resolve().parents[1]
Inv = Callable[..., "subprocess.CompletedProcess[str]"]


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", random.choice(PORTS)))
            return int(probe.getsockname()[1])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """With CI=true nothing may skip: what cannot run fails."""
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though CI=true: {report.longrepr}"


@pytest.fixture
def inv() -> Inv:
    """Runs `./inv` with arguments at the repository's root, and gives what came of it."""

    def run(*arguments: str, root: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith("INVOKE_")}
        return subprocess.run(
            ["./inv", *arguments],
            cwd=root, env={**clean, **env}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def make_clone() -> Callable[[Path], Path]:
    """Copies the work tree, its new files too, into a repository of its own, with this .venv."""

    def make(folder: Path) -> Path:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        (folder / ".venv").mkdir(parents=True)
        for name in ("bin", "lib", "pyvenv.cfg"):
            (folder / ".venv" / name).symlink_to(ROOT / ".venv" / name)
        stamp = (ROOT / ".venv/.requirements").read_text().replace(str(ROOT), str(folder), 1)
        (folder / ".venv/.requirements").write_text(stamp)
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "a clone"]):
            subprocess.run([*git, *words], cwd=folder, check=True)
        return folder

    return make


@pytest.fixture
def clone(tmp_path: Path, make_clone: Callable[[Path], Path]) -> Path:
    """A copy of the work tree in a folder of its own."""
    return make_clone(tmp_path / "clone")


@pytest.fixture
def port() -> int:
    """A port that is free."""
    return free_port()
