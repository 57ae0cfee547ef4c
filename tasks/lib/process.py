"""Commands on this machine, which honour --echo and --dry and end when we do; and waiting."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import TypeVar

from invoke import Context

from .console import colour, say

T = TypeVar("T")
# Seconds that a child may take to end after SIGINT, before it is killed.
GRACE = 10
# Seconds after which a wait without an end looks whether Ctrl-C came: another thread may have got
# the signal, and nothing wakes the main one, which alone acts on it
# (https://docs.python.org/3/library/signal.html#signals-and-threads).
NOTICED = 1
# How many lines may wait to be read.
AHEAD = 1000
# Erases a terminal's line: Compose 2.26 begins each line of a log with it, in a pipe, too.
ERASED = "\x1b[2K"


def tool(name: str) -> str:
    """Return the path of a command that was installed beside this Python, such as ruff."""
    return str(Path(sys.executable).with_name(name))


def run(
    ctx: Context, command: Sequence[str], env: Mapping[str, str] | None = None, check: bool = False
) -> int:
    """Run a command with this terminal, and return its exit status (0 under --dry).

    Args:
        command: the program and its arguments; no shell sees them.
        env: variables on top of this process's own.
        check: raise CalledProcessError on a status other than 0.
    """
    if ctx.config.run.echo or ctx.config.run.dry:
        words = [f"{key}={value}" for key, value in (env or {}).items()] + list(command)
        say(colour(shlex.join(words), 1))
    if ctx.config.run.dry:
        return 0
    status = wait(subprocess.Popen(command, env={**os.environ, **(env or {})}))
    if check and status:
        raise subprocess.CalledProcessError(status, command)
    return status


def look(ctx: Context, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command that changes nothing, also under --dry, and return its result."""
    if ctx.config.run.echo or ctx.config.run.dry:
        say(colour(shlex.join(command), 1))
    return subprocess.run(command, capture_output=True, text=True, check=False)


def wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child to end, and return its exit status; Ctrl-C ends it and is raised again."""
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(NOTICED)
    except KeyboardInterrupt:
        end(child)
        raise


def until_interrupted() -> None:
    """Wait until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(NOTICED)


def lines(
    children: Sequence[subprocess.Popen[bytes]], silence: float | None = None
) -> Generator[str, None, int]:
    """Yield the lines that children print, as they come; return the highest exit status.

    Their stdout is a pipe. They are ended when no more lines are wanted.

    Args:
        silence: the seconds for which no line may come; without, they may take any time.
    Raises TimeoutError after that.
    """
    found: Queue[str | None] = Queue(AHEAD)

    def read(child: subprocess.Popen[bytes]) -> None:
        for line in child.stdout or ():
            found.put(line.decode("utf-8", "replace").rstrip("\r\n").removeprefix(ERASED))
        found.put(None)

    try:
        for child in children:
            threading.Thread(target=read, args=(child,), daemon=True).start()
        for _ in children:
            while (line := _next(found, silence)) is not None:
                yield line
        return max(wait(child) for child in children)
    finally:
        for child in children:
            end(child)


def _next(found: Queue[str | None], silence: float | None) -> str | None:
    began = time.monotonic()
    while silence is None or time.monotonic() - began < silence:
        with suppress(Empty):
            return found.get(timeout=NOTICED if silence is None else min(NOTICED, silence))
    raise TimeoutError(f"no line came for {silence} s")


def end(child: subprocess.Popen[bytes]) -> None:
    """Interrupt a child, as Ctrl-C does; kill it when it has not ended within GRACE seconds."""
    for number in (signal.SIGINT, signal.SIGKILL):
        # Not sent to a child that has ended.
        child.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)


def wait_until(condition: Callable[[], T], seconds: float, poll: float = 0.2) -> T:
    """Wait until a condition, checked every `poll` seconds, is true, and return its value.

    Raises TimeoutError after `seconds`; checks at least once.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"timed out after {seconds:g} s")
        time.sleep(poll)
    return value
