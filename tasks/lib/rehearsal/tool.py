"""The command that runs a pipeline on this machine, without variables that no job must see."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from invoke import Context

from .. import console

# Variables of another pipeline or of the user's shell.
FOREIGN = re.compile(r"(CI|GITLAB|GITHUB|INVOKE|SSH|COMPOSE|DJANGO|GCL|ACT)_.*|CI|VIRTUAL_ENV")
# Seconds that an interrupted command may take to exit.
GRACE = 20


class Runner:
    """Runs pipelines of a clone; the variables are in a private folder beside it."""

    def __init__(self, ctx: Context, clone: Path) -> None:
        self.ctx, self.clone, self.home = ctx, clone, clone.with_name("home")


def environment() -> dict[str, str]:
    """Return this process's variables without the foreign ones."""
    return {key: value for key, value in os.environ.items() if not FOREIGN.fullmatch(key)}


def is_dry(ctx: Context, command: list[str]) -> bool:
    """Print a command with --echo and --dry; return whether it must not run."""
    if ctx.config.run.dry or ctx.config.run.echo:
        console.say(console.colour(shlex.join(command), 1))
    return bool(ctx.config.run.dry)


def lines(command: list[str], folder: Path) -> Iterator[str]:
    """Yield the lines that a command prints; on an interrupt, stop all that it started."""
    child = subprocess.Popen(
        command, cwd=folder, env=environment(), text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        for line in child.stdout or ():
            yield line.rstrip("\n")
        child.wait()
    except BaseException:
        _stop(child)
        raise


def _stop(child: subprocess.Popen[str]) -> None:
    """Interrupt a command and what it started; kill them after GRACE seconds."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(child.pid, number)
            child.communicate(timeout=GRACE)
