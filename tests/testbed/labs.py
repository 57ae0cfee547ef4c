"""Labs that are removed at the end, and the variables with which tasks work with one."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.testbed.commands import ROOT, environment, inv
from tests.testbed.runs import Run
from tests.testbed.sites import Exports


def must(*words: str, root: Path = ROOT, env: Exports | None = None) -> str:
    """Run a task that succeeds; returns what it printed to stdout."""
    done = inv(*words, root=root, **(env or {}))
    assert done.returncode == 0, done.stderr
    return done.stdout


def variables(text: str) -> Exports:
    """What the lines for the shell set."""
    words = shlex.split(text)
    assert set(words[::2]) == {"export"}
    return dict(word.split("=", 1) for word in words[1::2])


def new_name() -> str:
    """A name that no other lab has."""
    return f"test-{uuid.uuid4().hex[:8]}"


@contextmanager
def started(
    folder: Path,
    name: str = "",
    nodes: int = 0,
    root: Path = ROOT,
    keep: bool = False,
    orchestrator: str = "",
) -> Iterator[Exports]:
    """Start a lab; yields the variables with which tasks work with it, and removes it at the end.

    LAB_NAME is its name, for lab.status and the like.

    Args:
        folder: for what docker remembers of the login to its registry, and for the variables.
        name: its name.
        nodes: how many servers it has; 0 for as many as it has, or as lab.up makes.
        root: the clone whose lab it is.
        keep: it is there, or is to stay.
        orchestrator: what runs its containers.
    """
    name = name or new_name()
    folder.mkdir(parents=True, exist_ok=True)
    exports = folder / "exports"
    words = ["./inv", "lab.up", f"--name={name}", *([f"--nodes={nodes}"] if nodes else [])]
    words += [f"--orchestrator={orchestrator}"] if orchestrator else []
    try:
        # What it prints meanwhile is no line for the shell.
        Run(["sh", "-c", f"exec {shlex.join(words)} >{exports}"], root, environment()).succeed(600)
        mine = {"LAB_NAME": name, "DOCKER_CONFIG": str(folder / "docker")}
        yield variables(exports.read_text()) | mine
    finally:
        if not keep:
            must("lab.down", f"--name={name}", root=root)
