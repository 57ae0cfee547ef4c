"""The status of an environment, looked at again and again until Ctrl-C."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from .. import console
from ..errors import ExitCode, explain
from ..messages.message import now
from ..reports import Failure, line
from . import status
from .connection import Target
from .status import Status

# Seconds between two looks, and between two drawings of the screen.
EVERY, DRAWING = 3.0, 1.0
# Seconds after which a look without an answer is one of a server that does not answer.
SLOW = 5.0


@dataclass
class Watch:
    """What was seen last.

    Args:
        answered: when the servers answered last (ISO 8601).
        failure: why they do not answer now; empty if they do.
    """

    environment: str
    answered: str
    report: Status | None = None
    failure: str = ""

    def look(self, target: Target) -> None:
        """Look once more. Never raises: the servers may answer the next time."""
        try:
            found = status.read(target)
        except Exception as error:
            self.failure = explain(error)
        else:
            self.report, self.answered, self.failure = found, now(), ""

    def summary(self) -> str:
        """Return in one line how it is."""
        if self.failure:
            return f"no answer since {self.answered}: {self.failure}".replace("\ninv: ", "; ")
        problems = self.report.problems if self.report else []
        return "; ".join(problems) or "all is well"

    def screen(self) -> str:
        """Return what a screen shows."""
        head = f"{self.environment} at {datetime.now(UTC):%H:%M:%S} UTC - Ctrl-C ends"
        return f"{head}\n{self.summary()}\n\n{self.report.text() if self.report else ''}"

    def json(self) -> str:
        """Return a line for machines: the report, or why there is none."""
        if self.failure or not self.report:
            return line(Failure(problems=[self.summary()], status=ExitCode.FAILED))
        return line(self.report)


def watch(target: Target, as_json: bool, every: float = EVERY) -> None:
    """Show an environment's status until Ctrl-C, also while its servers do not answer.

    On a terminal it is redrawn in place; elsewhere each change is a line, and with `as_json` each
    look. `every` is the seconds between two looks.
    """
    seen = Watch(target.name, now())
    try:
        if as_json or not sys.stdout.isatty():
            _print(target, seen, as_json, every)
        with console.Screen() as screen:
            while True:
                _look(target, seen, screen)
                _draw_for(every, seen, screen)
    except KeyboardInterrupt:
        if seen.report and sys.stdout.isatty():
            console.result(seen.report.text())


def _print(target: Target, seen: Watch, as_json: bool, every: float) -> None:
    shown = ""
    while True:
        seen.look(target)
        if as_json:
            console.result(seen.json(), masked=False)
        elif seen.summary() != shown:
            shown = seen.summary()
            console.result(f"{now()} {seen.environment}: {shown}")
        time.sleep(every)


def _look(target: Target, seen: Watch, screen: console.Screen) -> None:
    """Look once more, and meanwhile say so if no answer comes."""
    began, looking = time.monotonic(), threading.Thread(target=seen.look, args=(target,))
    looking.daemon = True
    looking.start()
    while looking.is_alive():
        looking.join(DRAWING)
        if time.monotonic() - began > SLOW:
            seen.failure = seen.failure or "waiting for it"
        screen.show(seen.screen())


def _draw_for(seconds: float, seen: Watch, screen: console.Screen) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        screen.show(seen.screen())
        time.sleep(min(left, DRAWING))
