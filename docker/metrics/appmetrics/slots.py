"""Which files a process counts in: those of a slot, which it leaves to the next process.

With files of its own process ID, each worker that is replaced would leave its files for ever. The
next one goes on with the counts that it finds, so none is lost, and none is counted twice.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

# This process's ID, its slot, and the open file whose lock it holds until it ends.
_held = (0, 0, -1)


def folder() -> Path:
    """Return the folder with the files of all processes."""
    return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])


def slot() -> int:
    """Return the slot of this process; take the first free one if it has none, as after a fork."""
    global _held
    if _held[0] != os.getpid():
        number, file = _free()
        _held = (os.getpid(), number, file)
        _forget_gauges(number)
    return _held[1]


def left() -> Iterator[int]:
    """Remove what slots that no process holds say of the present; yield them."""
    for path in folder().glob("*.slot"):
        if (file := _locked(path)) is not None:
            _forget_gauges(int(path.stem))
            os.close(file)
            yield int(path.stem)


def _free() -> tuple[int, int]:
    """Take the first slot that no process holds; return it, and the open file with its lock."""
    number = 0
    while (file := _locked(folder() / f"{number}.slot")) is None:
        number += 1
    return number, file


def _locked(path: Path) -> int | None:
    """Return the open file with its lock; None if another process holds that."""
    # A lock of this kind ends with its process, and no child inherits it.
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file


def _forget_gauges(number: int) -> None:
    """Remove what a process that has ended was busy with; what it counted stays."""
    for path in folder().glob(f"gauge_*_{number}.db"):
        path.unlink(missing_ok=True)
