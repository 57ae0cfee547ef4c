"""What every test and measurement starts: docker, git and `./inv`, where no variable leaks in."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Below the ports that the system hands out, so that no connection is given one meanwhile.
PORTS = range(20000, 32000)
# Variables that name another lab, registry, server or CI, or that change how a command works.
FOREIGN = re.compile(
    r"CI|(CI|GITHUB|INVOKE|SSH|COMPOSE|DJANGO|COVERAGE|COV_CORE|PYTEST|BUILDKIT|K6)_.*|FAULTS|KUBECONFIG"
    r"|DATABASE_.*|REDIS_URL|(?i:https?|all|no)_(?i:proxy)"
)
GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
Done = subprocess.CompletedProcess[str]


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without what is foreign to a task, and with some more."""
    return {key: v for key, v in os.environ.items() if not FOREIGN.fullmatch(key)} | more


def inv(*words: str, root: Path = ROOT, seconds: float = 300, **env: str) -> Done:
    """Run `./inv` to its end in a clean environment, and return what came of it."""
    return subprocess.run(
        ["./inv", *words],
        cwd=root, env=environment(**env), capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip


def output(
    command: Sequence[str | Path], root: Path = ROOT, text: str = "", both: bool = False, **env: str
) -> str:
    """Return what a command prints to stdout. Raises RuntimeError with all of it when it fails.

    Args:
        text: its standard input.
        both: return what it prints to stderr, too.
    """
    done = subprocess.run(
        command, cwd=root, input=text, env={**os.environ, **env}, text=True, timeout=300,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT if both else subprocess.PIPE,
    )  # fmt: skip
    if done.returncode:
        said, words = f"{done.stdout}{done.stderr or ''}", " ".join(map(str, command))
        raise RuntimeError(f"{words} ended with {done.returncode}: {said}")
    return done.stdout.strip()


def docker(
    *words: str | Path, text: str = "", both: bool = False, env: Mapping[str, str] | None = None
) -> str:
    """Return what a docker command prints; see output."""
    return output(["docker", *words], text=text, both=both, **(env or {}))


def git(root: Path, *words: str, **env: str) -> str:
    """Return what git prints in a repository, where it commits as a tester."""
    return output([*GIT, *words], root, **env)


def until(condition: Callable[[], Any], seconds: float = 30, pause: float = 0.05) -> Any:
    """Wait for a condition, and return its value. Raises TimeoutError when it does not hold."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {condition.__doc__ or condition}")
        time.sleep(pause)
    return found


def works(action: Callable[[], Any]) -> Callable[[], bool]:
    """Return a condition for `until`: that an action raises neither OSError nor RuntimeError."""

    def holds() -> bool:
        with suppress(OSError, RuntimeError):
            action()
            return True
        return False

    return holds


def page(url: str) -> str:
    """Return what a URL answers; empty without a good answer."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()
    return ""


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", random.choice(PORTS)))
            return int(probe.getsockname()[1])
