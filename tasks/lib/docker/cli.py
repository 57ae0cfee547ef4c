"""How docker is called: its words, its variables, and what is printed of it."""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import console
from . import dry_run

if TYPE_CHECKING:
    from invoke import Context

ECHO = Path(__file__).with_name("dry_run.py")


def call(ctx: Context, env: Mapping[str, str | None]) -> list[str]:
    """The words that run docker, with variables for it, and printed under --echo and --dry.

    Args:
        env: variables; one that is None is unset.
    """
    words = ["docker"]
    if env:
        unset = [word for key, value in env.items() if value is None for word in ("-u", key)]
        words = ["env", *unset, *(f"{k}={v}" for k, v in env.items() if v is not None), *words]
    if ctx.config.run.dry or ctx.config.run.echo:
        words = [sys.executable, str(ECHO), "dry" if ctx.config.run.dry else "echo", *words]
        _listen()
    return words


def echo(command: Sequence[str]) -> list[str]:
    """A command of docker's, printed if it is to be: see echo.py."""
    words = [str(word) for word in command]
    if words[:2] == [sys.executable, str(ECHO)]:
        mode, *said = words[2:]
        if mode == "echo" or not dry_run.runs(mode, said):
            console.say(console.colour(shlex.join(said), 1))
    return words


class Listener(logging.Handler):
    """Prints what python-on-whales runs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a command, as its log has it."""
        echo(shlex.split(str(record.args[0] if isinstance(record.args, tuple) else "")))


def _listen() -> None:
    log = logging.getLogger("python_on_whales.utils")
    if not any(isinstance(each, Listener) for each in log.handlers):
        log.addHandler(Listener())
        log.setLevel(logging.DEBUG)


def begin(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a command of docker's, and go on; only what is wrong is shown."""
    return subprocess.Popen(echo(command), stdout=subprocess.DEVNULL)
