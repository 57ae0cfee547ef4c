"""Output: progress on stderr, and on stdout only the result that a task was asked for."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self, TextIO

from .errors import ExitCode, TaskError
from .redaction import redact


def is_ci() -> bool:
    """Return whether this is a job of a CI: there, what cannot run fails."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


def colour(text: str, code: int, stream: object = None) -> str:
    """Return text in an ANSI colour (31 red, 32 green, 33 yellow, 1 bold) for a terminal."""
    tty = getattr(stream or sys.stderr, "isatty", lambda: False)()
    return f"\033[{code}m{text}\033[0m" if tty else text


def write(text: str, stream: TextIO | None) -> None:
    """Write to stdout or stderr; if the stream was closed, continue without it."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # A pipe without a reader, or a closed terminal.
        if error.errno in {errno.EPIPE, errno.EIO}:
            drop(stream)
        # A full disk makes a result incomplete; but a deploy must not fail because of its log.
        elif stream is sys.stdout:
            raise


def drop(stream: TextIO) -> None:
    """Discard what this process, or one that it starts later, writes to a stream."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def as_typed(text: str) -> str:
    """Return a text with its commands as this user typed this one: `./inv`, or `inv` from PATH."""
    if Path(sys.argv[0]).name == "inv":
        return text
    return re.sub(r"(?<![\w./-])inv (?=[a-z-])", "./inv ", text)


def say(text: str) -> None:
    """Print a line of progress; secrets in it are masked."""
    write(f"{redact(text)}\n", sys.stderr)


def result(text: object, masked: bool = True) -> None:
    """Print a task's result, on stdout; secrets in it are masked, unless they are the result."""
    write(f"{redact(str(text)) if masked else text}\n", sys.stdout)


def step(text: str) -> None:
    """Print the heading of a step."""
    say(colour(f"==> {text}", 1))


def warn(text: str) -> None:
    """Print a warning."""
    say(colour(f"warning: {as_typed(text)}", 33))


def outcome(text: str, ok: bool) -> None:
    """Print whether a check passed."""
    say(f"{colour('ok     ', 32) if ok else colour('failed ', 31)} {text}")


def confirm(question: str, yes: bool, refused: str = "nothing was deleted") -> None:
    """Ask a question unless `yes`. Raises TaskError if the answer, or no terminal, means no."""
    if yes:
        return
    if not sys.stdin.isatty():
        hint = f"there is no terminal to ask on; if yes, add --yes: {question}"
        raise TaskError(refused, hint, ExitCode.REFUSED)
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise TaskError(refused, "answer y, or add --yes", ExitCode.REFUSED)


def confirm_name(question: str, name: str, given: str, refused: str) -> None:
    """Ask for a name, unless it was given, before something that cannot be taken back.

    Raises TaskError if it is another one, or there is no terminal to ask on.
    """
    ask = f"{question} Type {name} to go on: "
    if name != (given or (sys.stdin.isatty() and input(ask).strip())):
        raise TaskError(refused, f"{name} is protected: add --confirm={name}", ExitCode.REFUSED)


def table(rows: Sequence[Sequence[str]], heads: Sequence[str] = ()) -> str:
    """Return rows, one a line, in left-aligned columns."""
    lines = [heads, *rows] if heads else rows
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (map(str.ljust, row, widths) for row in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


class Screen:
    """The whole terminal, redrawn in place; what was on it comes back in the end."""

    def __enter__(self) -> Self:
        write("\033[?1049h", sys.stdout)
        return self

    def __exit__(self, *_: object) -> None:
        write("\033[?1049l", sys.stdout)

    def show(self, text: str) -> None:
        """Show a text; what does not fit on the screen is left out, so that it never scrolls."""
        width, height = shutil.get_terminal_size()
        lines = redact(text).splitlines()
        if len(lines) > height:
            lines[height - 1 :] = [f"... {len(lines) - height + 1} more lines"]
        drawn = "\033[K\n".join(each[: width - 1] for each in lines)
        write(f"\033[H{drawn}\033[J", sys.stdout)


class LiveTable:
    """Rows of name and state, redrawn in place on a terminal; elsewhere a line for each change."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._live = sys.stderr.isatty()

    def show(self, rows: Sequence[tuple[str, str]]) -> None:
        """Show the current states."""
        if self._live and self._shown:
            write(f"\033[{len(self._shown)}A\033[J", sys.stderr)
        width = max((len(name) for name, _ in rows), default=0)
        for name, state in rows:
            if self._live or self._shown.get(name) != state:
                say(f"  {name.ljust(width)}  {state}")
        self._shown = dict(rows)
