"""Files: private temporary folders, and files that are written atomically."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

PREFIX = "inv-scratch-"
# Seconds after which a folder without a lock is a leftover, and not one that is being created.
YOUNG = 60


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder that only this user can read, and remove it; remove leftover ones, too."""
    for old in Path(gettempdir()).glob(f"{PREFIX}*"):
        _sweep(old)
    with TemporaryDirectory(prefix=PREFIX) as name:
        handle = os.open(name, os.O_RDONLY)
        try:
            # The kernel releases the lock when the process ends, even if it is killed.
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(handle)


def _sweep(old: Path) -> None:
    """Remove a folder whose process was killed."""
    try:
        handle = os.open(old, os.O_RDONLY)
    except OSError:
        # It was removed meanwhile, or belongs to another user.
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.time() - os.fstat(handle).st_mtime > YOUNG:
            shutil.rmtree(old, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(handle)


def write(files: Mapping[str, str]) -> None:
    """Write files for later jobs; skip an empty name."""
    for name, text in files.items():
        if name:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable only by this user."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.touch(0o600)
    fresh.write_text(text, "utf-8")
    fresh.replace(path)
