"""A clone of the work tree in a temporary folder, and engines; nothing of them stays."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.testbed.clones import Clone, make_clone
from tests.testbed.commands import docker
from tests.testbed.engines import Engine, start_engine
from tests.testbed.sweep import sweep


class Scratch(Clone):
    """A temporary folder with a clone of the work tree.

    Attributes:
        mark: a name of its own, which every container, network, volume and image bears that is
            made for it.
        folder: the temporary folder; the clone is in it.
        bin: where the tools of the clone's environment are.
    """

    def __init__(self, name: str) -> None:
        self.mark, self.numbers = f"{name}-{secrets.token_hex(4)}", count(1)
        self.folder = Path(tempfile.gettempdir()) / self.mark
        super().__init__(self.folder / self.mark)
        self.bin = self.root / ".inv/venv/bin"

    def change(self) -> str:
        """Commit one more line of code; returns the commit."""
        self.append("myapp/views.py", f"# Change {next(self.numbers)}\n")
        return self.commit("a change")

    def engine(self, name: str, *options: str, daemon: tuple[str, ...] = ()) -> Engine:
        """Start an engine that nobody used, which sees the folder; see start_engine."""
        more = (f"--volume={self.folder}:{self.folder}", *options)
        socket = self.folder / "engines" / name
        return start_engine(f"{self.mark}-{name}", socket, *more, daemon=daemon)


@contextmanager
def scratch(name: str, prune: bool = False) -> Iterator[Scratch]:
    """Make a clone, and remove at the end all that bears its mark, whatever happened.

    Args:
        name: what the mark begins with.
        prune: delete the engine's whole build cache, too.
    """
    made = Scratch(name)
    try:
        make_clone(made.root)
        yield made
    finally:
        if shutil.which("docker"):
            sweep(made.mark)
            if prune:
                docker("builder", "prune", "--all", "--force")
        shutil.rmtree(made.folder, ignore_errors=True)
