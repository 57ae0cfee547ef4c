"""What went wrong, told in one line at the rim: the executor that every task runs under."""

from __future__ import annotations

import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

import invoke
from invoke.exceptions import Exit, ParseError, UnexpectedExit

from . import console

REFUSED = 2
# What a shell tells of a program whose output nobody read to its end: 128 + SIGPIPE.
UNREAD = 141


class TaskError(Exception):
    """A failure told as "what - what to do".

    Args:
        what: what failed, and why.
        hint: what to type or change next.
        code: the exit status: 1 something failed, 2 refused before anything was changed.
    """

    def __init__(self, what: str, hint: str = "", code: int = 1) -> None:
        super().__init__(f"{what} - {hint}" if hint else what)
        self.code = code


@contextmanager
def refusing() -> Iterator[None]:
    """What fails here fails before anything was changed: its exit status is 2."""
    try:
        yield
    except TaskError as error:
        error.code = REFUSED if error.code == 1 else error.code
        raise
    except Exception as error:
        raise TaskError(explain(error), code=REFUSED) from error


class Executor(invoke.Executor):
    """Runs tasks; any exception becomes one line on stderr and an exit status.

    `inv --debug` shows the traceback instead. SIGTERM and SIGHUP end a task as Ctrl-C does, and so
    does SIGINT where a parent had it ignored: what is cleaned up on Ctrl-C always is.
    """

    def execute(self, *tasks: Any) -> Any:
        """Run the tasks. Raises Exit, with the line and the status, when one fails."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        try:
            return super().execute(*tasks)
        except (Exit, UnexpectedExit, ParseError):
            raise
        except KeyboardInterrupt:
            console.say("inv: interrupted")
            raise Exit(code=130) from None
        except Exception as error:
            if isinstance(error, BrokenPipeError) and unread():
                raise Exit(code=UNREAD) from None
            if self.core and self.core[0].args.debug.value:
                raise
            # Not left to Invoke: its print would fail where nobody reads, and the status be lost.
            console.say(f"inv: {as_typed(explain(error))}")
            raise Exit(code=getattr(error, "code", 1)) from error


def unread() -> bool:
    """Whether nobody reads stdout any more, as after `inv images | head`; then it goes nowhere."""
    if sys.stdout is None:
        return False
    poller = select.poll()
    poller.register(sys.stdout, select.POLLOUT)
    gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in poller.poll(0))
    if gone:
        console.drop(sys.stdout)
    with suppress(OSError):
        console.write("", sys.stdout)
    return gone


def as_typed(text: str) -> str:
    """A text with its commands as this user types them: `./inv` where no `inv` is on the path."""
    if Path(sys.argv[0]).name == "inv":
        return text
    return re.sub(r"(?<![\w./-])inv (?=[a-z-])", "./inv ", text)


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


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    if signum == signal.SIGHUP:
        # A shell and the kernel both tell of a terminal that was closed: once is meant.
        signal.signal(signum, signal.SIG_IGN)
    raise KeyboardInterrupt


def one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A sys.excepthook for what fails before any executor runs, such as a broken invoke.yaml."""
    if isinstance(error, BrokenPipeError) and unread():
        return
    if "--debug" in sys.argv or "-d" in sys.argv:
        sys.__excepthook__(kind, error, trace)
        return
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, KeyboardInterrupt):
        console.say("inv: interrupted")
    elif mark is not None:
        where = f"{mark.name}:{mark.line + 1}"
        console.say(f"inv: {where}: not valid YAML: {error.problem} - mend that line")  # type: ignore[attr-defined]
    else:
        console.say(f"inv: {as_typed(explain(error))}")
