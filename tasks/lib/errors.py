"""Errors: the exception of tasks, exit statuses, and a line that explains any exception."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
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
    """A failure, shown as "what failed, and why - what to do next"."""

    def __init__(self, what: str, hint: str = "", code: int = ExitCode.FAILED) -> None:
        super().__init__(f"{what} - {hint}" if hint else what)
        self.code = code


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
    text = " ".join(str(error).split())
    if text.startswith("invalid literal for int()"):
        return f"{text.rpartition(': ')[2]} is not a number - correct the option or the variable"
    return f"{type(error).__name__}: {text} - retry with inv --debug to see the traceback"


# What to do, by a part of Docker's message.
ADVICE = {
    "cannot connect to the docker daemon": "start Docker; inv doctor shows details",
    "error during connect": "start Docker; inv doctor shows details",
    "permission denied while trying to connect": "join the docker group and log in again",
    "no space left on device": "free some space: docker system prune",
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
    """Return the last line that is not blank; empty if there is none."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
