"""Invoke's executor for all tasks: any exception becomes one line and an exit status."""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn

import invoke
from invoke.exceptions import Exit, ParseError, UnexpectedExit

from . import console
from .errors import ExitCode, explain

# What urllib, curl and Go take for this machine.
LOCAL = "localhost,.localhost,127.0.0.1,127.0.0.0/8,::1,[::1]"
PROXIES = {"http_proxy", "https_proxy", "all_proxy"}


def spare_local(env: MutableMapping[str, str]) -> None:
    """Let no request to this machine go through a proxy, of this process or of its children."""
    given = env.get("no_proxy") or env.get("NO_PROXY") or ""
    if PROXIES & {name.lower() for name in env} and given != "*":
        env["no_proxy"] = env["NO_PROXY"] = ",".join(filter(None, (given, LOCAL)))


def install() -> None:
    """Handle failures outside of tasks: before the first one runs, and as the process exits.

    Requests to this machine do not use the proxy of the environment variables.
    """
    spare_local(os.environ)
    sys.excepthook = excepthook
    threading.excepthook = lambda failed: _trace(failed.exc_value)
    atexit.register(drop_closed_stdout)


class Executor(invoke.Executor):
    """Runs tasks; any exception becomes one line on stderr and an exit status.

    `inv --debug` shows the traceback, too. SIGTERM and SIGHUP interrupt a task as Ctrl-C does;
    so does SIGINT, even if the parent process ignores it. A task always cleans up.
    """

    def execute(self, *tasks: Any) -> Any:
        """Run the tasks. Raises Exit, with the status, if one fails; its line is printed."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        try:
            return super().execute(*tasks)
        except (Exit, UnexpectedExit, ParseError):
            raise
        except KeyboardInterrupt as error:
            console.say("inv: interrupted")
            _report(tasks, error, ExitCode.INTERRUPTED)
            raise Exit(code=ExitCode.INTERRUPTED) from None
        except Exception as error:
            if isinstance(error, BrokenPipeError) and drop_closed_stdout():
                raise Exit(code=ExitCode.BROKEN_PIPE) from None
            if self.core and self.core[0].args.debug.value:
                _trace(error)
            # Invoke's own print would fail if stderr is closed, and lose the status.
            console.say(f"inv: {console.as_typed(explain(error))}")
            code = getattr(error, "code", ExitCode.FAILED)
            _report(tasks, error, code)
            raise Exit(code=code) from error


def _report(tasks: Sequence[Any], error: BaseException, code: int) -> None:
    """Print an error as a report, if a task was asked for one and has not printed it."""
    options = (getattr(task, "args", {}).get("json") for task in tasks)
    asked = any(option and option.value for option in options)
    if asked and not getattr(error, "shown", False):
        from . import reports

        problems = console.as_typed(explain(error)).split("\ninv: ")
        failure = reports.Failure(problems=problems, status=int(code))
        console.result(reports.line(failure), masked=False)


def drop_closed_stdout() -> bool:
    """Discard further output if stdout was closed, as by `inv images | head`; return whether."""
    if sys.stdout is None:
        return False
    poller = select.poll()
    poller.register(sys.stdout, select.POLLOUT)
    closed = any(event & (select.POLLERR | select.POLLHUP) for _, event in poller.poll(0))
    if closed:
        console.drop(sys.stdout)
    with suppress(OSError):
        console.write("", sys.stdout)
    return closed


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    if signum == signal.SIGHUP:
        # Both the shell and the kernel send SIGHUP if a terminal is closed: one is enough.
        signal.signal(signum, signal.SIG_IGN)
    raise KeyboardInterrupt


def _trace(error: BaseException | None) -> None:
    """Print a traceback; secrets in it are masked."""
    console.say("".join(traceback.format_exception(error)).rstrip())


def excepthook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print what fails before the executor runs, such as an invalid invoke.yaml, in one line."""
    if isinstance(error, BrokenPipeError) and drop_closed_stdout():
        return
    if {"--debug", "-d"} & {*sys.argv}:
        _trace(error)
    text = console.as_typed(explain(error))
    if mark := getattr(error, "problem_mark", None):
        text = f"{mark.name}:{mark.line + 1}: not valid YAML: {error.problem} - correct it"  # type: ignore[attr-defined]
    console.say(f"inv: {text}")
