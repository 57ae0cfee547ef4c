"""Errors: the one exception type of ours, exit statuses, and one line for any exception."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path


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
    """Return one line that says what an exception means."""
    kind = type(error).__name__
    if isinstance(error, TaskError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
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
    "cannot connect to the docker daemon": "start Docker; see inv doctor",
    "error during connect": "start Docker; see inv doctor",
    "permission denied while trying to connect": "join the docker group and log in again",
    "no space left on device": "free disk space: docker system prune",
    "pull access denied": "check the image's name, and log in to its registry",
}
_VERBS = {
    *("build", "up", "down", "run", "exec", "logs", "stop", "ps", "pull", "push", "config"),
    *("stack", "service", "secret", "node", "swarm", "info", "inspect", "login", "network"),
}


def explain_docker(command: Sequence[str], status: int, output: str) -> tuple[str, str]:
    """Return what a failed docker command means, and what to do about it.

    Args:
        output: what it wrote, its last line the one that says why.
    """
    verb = next((word for word in command if word in _VERBS), "")
    message = last_line(output) or f"exit status {status}"
    lowered = output.lower()
    advice = next((advice for sign, advice in ADVICE.items() if sign in lowered), "")
    hint = advice or ("" if output.strip() else "see its output above")
    return f"docker {verb}".strip() + f": {message}", hint


def last_line(text: str) -> str:
    """Return the last line that is not blank; empty if there is none."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
