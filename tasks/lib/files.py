"""Files: private temporary folders, and files that are written atomically."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

PREFIX = "inv-scratch-"
# Seconds after which a folder without a lock is a leftover, and not one that is being created.
YOUNG = 60
# How long the path of a folder for such folders may be: that of a socket has at most 104 bytes.
LONG = 50


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder that only this user can read, and remove it; remove leftover ones, too."""
    root = Path(gettempdir())
    if len(os.fsencode(root)) > LONG:
        root = Path("/tmp")  # noqa: S108 - other users cannot read what is made in it
    for old in root.glob(f"{PREFIX}*"):
        # An error means: it is in use, was removed meanwhile, or belongs to another user.
        with suppress(OSError), locked(old, fcntl.LOCK_NB):
            if time.time() - old.stat().st_mtime > YOUNG:
                shutil.rmtree(old, ignore_errors=True)
    with TemporaryDirectory(prefix=PREFIX, dir=root) as name, locked(Path(name)):
        yield Path(name)


@contextmanager
def locked(path: Path, option: int = 0) -> Iterator[None]:
    """Lock a folder. With LOCK_NB, raises BlockingIOError if another process has locked it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        # The kernel releases the lock when the process ends, even if it is killed.
        fcntl.flock(handle, fcntl.LOCK_EX | option)
        yield
    finally:
        os.close(handle)


def write(files: Mapping[str, str]) -> None:
    """Write files for later jobs; skip an empty name."""
    for name, text in files.items():
        if name:
            own_folder(Path(name).parent)
            Path(name).write_text(text, "utf-8")


def own_folder(path: Path) -> Path:
    """Make a folder that git ignores, whatever .gitignore says; one that exists stays as it is."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    if missing:
        (missing[-1] / ".gitignore").write_text("*\n")
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable only by this user."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.touch(0o600)
    fresh.write_text(text, "utf-8")
    fresh.replace(path)
