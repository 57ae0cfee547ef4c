"""Private folders for what docker wants in a file; those of killed processes go at the next use."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

PREFIX = "inv-scratch-"
# Seconds after which a folder that nobody holds is nobody's, not one that is just being made.
YOUNG = 60


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that only this user can read, gone afterwards; what others have left is, too."""
    for old in Path(gettempdir()).glob(f"{PREFIX}*"):
        _sweep(old)
    with TemporaryDirectory(prefix=PREFIX) as name:
        handle = os.open(name, os.O_RDONLY)
        try:
            # Ends with the process, however that ends.
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(handle)


def _sweep(old: Path) -> None:
    """Remove a folder whose process was killed."""
    try:
        handle = os.open(old, os.O_RDONLY)
    except OSError:
        # Gone in between, or somebody else's.
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.time() - os.fstat(handle).st_mtime > YOUNG:
            shutil.rmtree(old, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(handle)
