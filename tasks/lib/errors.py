"""Errors: the exception of tasks, exit statuses, and a line that explains any exception."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from itertools import pairwise
from pathlib import Path

from .redaction import redact


class ExitCode(IntEnum):
    """The exit statuses of tasks."""

    FAILED = 1  # something failed; a failed rollout was rolled back
    REFUSED = 2  # before anything was changed
    PERSON = 3  # a person must act, such as after a failed automatic rollback
    LOCKED = 4  # another deploy holds the environment's lock
    INTERRUPTED = 130  # by Ctrl-C or a signal
    BROKEN_PIPE = 141  # stdout was closed early, as by `inv images | head` (128 + SIGPIPE)


class TaskError(Exception):
    """A failure, shown as "what failed, and why - what to do next".

    Args:
        shown: its task has printed a report for machines that says the same.
    """

    def __init__(
        self, what: str, hint: str = "", code: int = ExitCode.FAILED, shown: bool = False
    ) -> None:
        super().__init__(f"{what} - {hint}" if hint else what)
        self.code, self.shown = code, shown


class RemoteCommandError(TaskError):
    """A command on a server failed; its output is stderr, or else stdout."""

    def __init__(self, host: str, status: int, output: str) -> None:
        last = output.splitlines()[-1] if output else "no output"
        super().__init__(f"{host}: {last} (status {status})", "check that server, then retry")
        self.status, self.output = status, output


@contextmanager
def refusing() -> Iterator[None]:
    """Exit with status 2 if this fails: nothing has been changed yet."""
    try:
        yield
    except TaskError as error:
        error.code = ExitCode.REFUSED if error.code == ExitCode.FAILED else error.code
        raise
    except Exception as error:
        raise TaskError(explain(error), code=ExitCode.REFUSED) from error


def explain(error: BaseException) -> str:
    """Return one line that explains an exception, and says what to do; secrets are masked."""
    return redact(_explain(error))


def _explain(error: BaseException) -> str:
    if isinstance(error, TaskError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, subprocess.CalledProcessError):
        return f"{Path(error.cmd[0]).name} failed with status {error.returncode} - see above"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{error.filename} not found - check the path, or install the command"
    if isinstance(error, OSError) and error.filename and error.errno in DISK:
        return f"{error.filename}: {os.strerror(error.errno).lower()} - {DISK[error.errno]}"
    text = " ".join(str(error).split())
    if text.startswith("invalid literal for int()"):
        value = text.rpartition(": ")[2]
        where, hint = _given(value.strip("'\""))
        return f"{where}{value} is not a number - {hint}"
    return f"{type(error).__name__}: {text} - retry with inv --debug to see the traceback"


# What to do about a file that cannot be written, by the error's number.
_WRITE = "use a checkout that you may write to, or correct the owner and the mode"
_SPACE = "free some disk space"
DISK = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _WRITE),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _SPACE),
}


def _given(value: str) -> tuple[str, str]:
    """Return the option or the variable that has a value, and what to do about it."""
    # As `--port abc`, `--port=abc` or `-pabc`.
    forms = [(before, word) for before, word in pairwise(sys.argv) if before.startswith("-")]
    forms += [(name, text) for name, sign, text in (w.partition("=") for w in sys.argv) if sign]
    forms += [(word[:2], word[2:]) for word in sys.argv if re.match("-[^-].", word)]
    if options := [name for name, text in forms if text == value and name.startswith("-")]:
        return f"{options[0]}: ", "give a whole number"
    names = [name for name, text in os.environ.items() if text == value and "INVOKE_" in name]
    return (f"{names[0]}: ", "set it to a whole number") if names else ("", "correct the option")


# What docker adds to the reason of some errors.
USAGE = re.compile(
    r"(Run|See) 'docker .*--help'|Error: failed to start containers|exit status \d+$"
)
# What to do, by a part of Docker's message.
ADVICE = {
    "cannot connect to the docker daemon": "start Docker; inv doctor shows details",
    "error during connect": "start Docker; inv doctor shows details",
    "permission denied while trying to connect": (
        "join the docker group (sudo usermod -aG docker USER) and log in again"
    ),
    "failed to connect to the docker api": "start Docker; inv doctor shows details",
    "context not found": "see docker context ls; set or unset DOCKER_CONTEXT",
    "unable to resolve docker endpoint": "correct DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CERT_PATH",
    "no space left on device": "free some space: docker system prune",
    "non-overlapping ipv4 address pool": "remove networks without containers: docker network prune",
    "pull access denied": "check the image's name, and log in to its registry",
}
_VERBS = {
    *("build", "up", "down", "run", "exec", "logs", "stop", "ps", "pull", "push", "config"),
    *("stack", "service", "secret", "node", "swarm", "info", "inspect", "login", "network"),
}


def explain_docker(command: Sequence[str], status: int, output: str) -> tuple[str, str]:
    """Return what a failed docker command means, by its output's last line, and what to do."""
    verb = next((word for word in command if word in _VERBS), "")
    message, lowered = last_line(output), output.lower()
    hint = next((advice for sign, advice in ADVICE.items() if sign in lowered), "")
    if not message:
        message, hint = f"exit status {status}", "see its output above"
    return f"docker {verb}".strip() + f": {message}", hint


def last_line(text: str) -> str:
    """Return the last line that says something; empty if there is none."""
    lines = (line.strip() for line in reversed(text.splitlines()))
    return next((line for line in lines if line and not USAGE.match(line)), "")
