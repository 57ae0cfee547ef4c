"""Errors: the one exception type of ours, exit statuses, and one line for any exception."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any


class ExitCode(IntEnum):
    """The exit statuses of tasks.

    Args:
        FAILED: something failed; a failed rollout was rolled back.
        REFUSED: refused before anything was changed.
        PERSON: a person is needed, such as after a failed automatic rollback.
        LOCKED: another deploy holds the environment's lock.
        INTERRUPTED: Ctrl-C or a signal.
        UNREAD: stdout was closed early, as after `inv images | head` (128 + SIGPIPE).
    """

    FAILED = 1
    REFUSED = 2
    PERSON = 3
    LOCKED = 4
    INTERRUPTED = 130
    UNREAD = 141


class TaskError(Exception):
    """A failure told as "what - what to do".

    Args:
        what: what failed, and why.
        hint: what to type or change next.
        code: the exit status.
    """

    def __init__(self, what: str, hint: str = "", code: int = ExitCode.FAILED) -> None:
        super().__init__(f"{what} - {hint}" if hint else what)
        self.code = code


@contextmanager
def refusing() -> Iterator[None]:
    """What fails here fails before anything was changed: its exit status is 2."""
    try:
        yield
    except TaskError as error:
        error.code = ExitCode.REFUSED if error.code == ExitCode.FAILED else error.code
        raise
    except Exception as error:
        raise TaskError(explain(error), code=ExitCode.REFUSED) from error


def explain(error: BaseException) -> str:
    """One line that says what an exception of ours, Docker's, or anybody's means."""
    kind = type(error).__name__
    if isinstance(error, TaskError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if kind == "ClientNotFoundError":
        return "docker is not installed - install Docker, or add --engine=host"
    if hasattr(error, "docker_command"):
        return _docker(error)
    if isinstance(error, subprocess.CalledProcessError):
        return f"{Path(error.cmd[0]).name} failed with status {error.returncode} - see above"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{error.filename} is not there - {error.strerror}"
    text = " ".join(str(error).split())
    if text.startswith("invalid literal for int()"):
        return f"{text.rpartition(': ')[2]} is not a number - an option or a variable wants one"
    return f"{kind}: {text} - run it again with inv --debug to see where"


# What Docker says, and what to do about it.
ADVICE = {
    "cannot connect to the docker daemon": "start Docker; `inv doctor` tells more",
    "error during connect": "start Docker; `inv doctor` tells more",
    "permission denied while trying to connect": "join the docker group and log in again",
    "no space left on device": "free some: docker system prune",
    "pull access denied": "check the image's name, and log in to its registry",
}


def advise(text: str) -> str:
    """What to do about a message of Docker's; empty when nothing is known of it."""
    lowered = text.lower()
    return next((advice for sign, advice in ADVICE.items() if sign in lowered), "")


def _docker(error: Any) -> str:
    output = f"{error.stdout or ''}\n{error.stderr or ''}"
    words = [str(word) for word in error.docker_command]
    verb = next((word for word in words if word in _VERBS), "")
    said = _last_line(output) or f"exit status {error.return_code}"
    advice = advise(output) or ("" if output.strip() else "its own output is above")
    return f"docker {verb}: {said}" + (f" - {advice}" if advice else "")


_VERBS = {
    *("build", "up", "down", "run", "exec", "logs", "stop", "ps", "pull", "push", "config"),
    *("stack", "service", "secret", "node", "swarm", "info", "inspect"),
}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
