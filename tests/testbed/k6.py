"""k6, the referee from outside, which says how many requests of a site failed."""

from __future__ import annotations

import json
import signal
import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.testbed.commands import environment
from tests.testbed.runs import Run

CLIENTS, PAUSE, LIMIT = 8, 0.1, 600
# What k6 says of a request that was in flight when it was stopped.
STOPPED = "context canceled"
SCRIPT = Path(__file__).with_suffix(".js")
# With its own server off, and nothing told to anybody.
QUIET = ["--quiet", "--no-color", "--log-format=raw", "--address=", "--no-usage-report"]


class Referee:
    """Clients of a site while it lasts, half of them over a new connection each time.

    Args:
        url: the site's, which must be on 127.0.0.1: load goes nowhere else.
        pause: seconds that a client waits after an answer.
        paths: what each client asks in turns.

    Attributes:
        total: how many requests there were; known at the end, as are the others.
        failed: how many of them were not answered with 200.
        p99: seconds within which 99 of 100 were answered.
        medians: of each path, the seconds within which half of the requests were answered.
        complaints: what became of those.
    """

    def __init__(
        self,
        url: str,
        clients: int = CLIENTS,
        pause: float = PAUSE,
        paths: Sequence[str] = ("/", "/livez"),
    ) -> None:
        if urllib.parse.urlsplit(url).hostname != "127.0.0.1":
            raise ValueError(f"{url} is not on 127.0.0.1")
        self.total, self.failed, self.complaints = 0, 0, list[str]()
        self.p99, self.medians = 0.0, list[float]()
        told = {"SITE": url, "CLIENTS": str(clients), "PAUSE": str(pause), "PATHS": " ".join(paths)}
        self._told = environment(**told, DURATION=f"{LIMIT}s")

    def __enter__(self) -> Referee:
        k6 = Path(sys.executable).with_name("k6")
        self._run = Run([k6, "run", *QUIET, SCRIPT], SCRIPT.parent, self._told)
        self._run.until("k6 begins")
        if not self._run.at("k6 begins"):
            raise RuntimeError(f"k6 does not begin:\n{self._run.text}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Stop it, and read the verdict. What is in flight then is not counted."""
        self._run.process.send_signal(signal.SIGINT)
        lines = [line for _, line in self._run.wait(60).lines]
        if kind is None:
            told = json.loads(next(line for line in lines if line.startswith("{")))
            self.total, self.failed = told["total"], told["failed"]
            self.p99, self.medians = told["p99"], told["medians"]
            said = [line for line in lines if line.startswith("failed: ")]
            self.complaints = [line for line in said if not line.endswith(STOPPED)]

    def __str__(self) -> str:
        return f"k6: {self.failed} of {self.total} requests failed, p99 {self.p99:.3f} s"
