"""What the user sees: lines on stderr, so that stdout stays for what a task was asked for."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import TextIO

# What is said of a pipe that nobody reads, and of a terminal that was closed.
GONE = {errno.EPIPE, errno.EIO}


def colour(text: str, code: int, stream: object = None) -> str:
    """The text in an ANSI colour (31 red, 32 green, 33 yellow, 1 bold) if it goes to a terminal."""
    tty = getattr(stream or sys.stderr, "isatty", lambda: False)()
    return f"\033[{code}m{text}\033[0m" if tty else text


def write(text: str, stream: TextIO | None) -> None:
    """Write to stdout or stderr; where nobody reads it any more, work goes on without."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        if error.errno in GONE:
            drop(stream)
        # A full disk spoils a result; a deploy is not to fail for its log.
        elif stream is sys.stdout:
            raise


def drop(stream: TextIO) -> None:
    """Let what is written to a stream, also by what is started later, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def say(text: str) -> None:
    """One line of progress."""
    write(f"{text}\n", sys.stderr)


def result(text: object) -> None:
    """What a task was asked for, on stdout."""
    write(f"{text}\n", sys.stdout)


def step(text: str) -> None:
    """The heading of a part of the work."""
    say(colour(f"==> {text}", 1))


def warn(text: str) -> None:
    """A line that wants attention, though work goes on."""
    say(colour(f"warning: {text}", 33))


def confirm(question: str) -> bool:
    """Ask for a yes; without a terminal the answer is no."""
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def table(rows: Sequence[Sequence[str]], heads: Sequence[str] = ()) -> str:
    """Rows as left-aligned columns, two spaces apart, one line each."""
    everything = [heads, *rows] if heads else list(rows)
    widths = [max(map(len, column)) for column in zip(*everything, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in everything
    )
    return "\n".join(line.rstrip() for line in lines)


class LiveTable:
    """Rows of name and state: redrawn in place on a terminal, else a line for each change."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._live = sys.stderr.isatty()

    def show(self, rows: Sequence[tuple[str, str]]) -> None:
        """Show how it stands now."""
        if self._live and self._shown:
            write(f"\033[{len(self._shown)}A\033[J", sys.stderr)
        width = max((len(name) for name, _ in rows), default=0)
        for name, state in rows:
            if self._live or self._shown.get(name) != state:
                say(f"  {name.ljust(width)}  {state}")
        self._shown = dict(rows)
