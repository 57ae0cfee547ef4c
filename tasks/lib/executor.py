"""The executor that every task runs under: any exception becomes one line and an exit status."""

from __future__ import annotations

import atexit
import re
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

import invoke
from invoke.exceptions import Exit, ParseError, UnexpectedExit

from . import console
from .errors import ExitCode, explain


def install() -> None:
    """Handle what fails outside of any task: before one runs, and as the process ends."""
    sys.excepthook = one_line
    atexit.register(unread)


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
            raise Exit(code=ExitCode.INTERRUPTED) from None
        except Exception as error:
            if isinstance(error, BrokenPipeError) and unread():
                raise Exit(code=ExitCode.UNREAD) from None
            if self.core and self.core[0].args.debug.value:
                raise
            # Not left to Invoke: its print would fail where nobody reads, and the status be lost.
            console.say(f"inv: {as_typed(explain(error))}")
            raise Exit(code=getattr(error, "code", ExitCode.FAILED)) from error


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
