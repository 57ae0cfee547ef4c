"""A command that runs, or has ended: its lines with their times, its status, its seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.testbed.commands import until

# Seconds that an interrupted command may take to end.
GRACE = 15


class Run:
    """A command, in a process group of its own; its lines of both outputs, with their times."""

    def __init__(
        self, command: Sequence[str | Path], root: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.command = " ".join(map(str, command))
        self.began, self.ended = time.time(), 0.0
        self.lines: list[tuple[float, str]] = []
        self._left = False
        self.process = subprocess.Popen(
            command, cwd=root, env=env, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._reader.start()
        self._waiter.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self.lines.append((time.time(), line.rstrip("\n")))
                if self._left:
                    return

    def _wait(self) -> None:
        """Note the very moment of its end, which a wait with a limit would not see."""
        self.process.wait()
        self.ended = time.time()

    def leave(self) -> None:
        """Read its outputs no more, after the next line: who writes to them then is told so."""
        self._left = True

    def wait(self, seconds: float = 240) -> Run:
        """Wait until it has ended. Raises AssertionError when that takes longer, and ends it."""
        try:
            self._waiter.join(seconds)
        except BaseException:
            self.end()
            raise
        if self._waiter.is_alive():
            self.process.send_signal(signal.SIGTERM)
            raise AssertionError(f"not ended within {seconds} s:\n{self.text}")
        self._reader.join(5)
        return self

    def succeed(self, seconds: float = 240) -> Run:
        """Wait until it has ended. Raises RuntimeError, with what it printed, if it failed."""
        if self.wait(seconds).status:
            raise RuntimeError(f"{self.command} ended with {self.status}:\n{self.text}")
        return self

    def end(self) -> None:
        """Interrupt it and what it started; kill them when they take more than GRACE seconds."""
        for number in (signal.SIGINT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            self._waiter.join(GRACE)

    def until(self, sign: str, seconds: float = 120) -> float:
        """Wait for a line with this in it; returns when it came."""
        return until(lambda: self.at(sign) or (self.process.poll() is not None and 0.1), seconds)

    def at(self, sign: str) -> float:
        """When the first line with this in it came; 0 when none did."""
        return next((when for when, line in self.lines if sign in line), 0.0)

    @property
    def status(self) -> int:
        """The exit status."""
        assert self.process.returncode is not None
        return self.process.returncode

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began

    @property
    def text(self) -> str:
        """All that it printed."""
        return "\n".join(line for _, line in self.lines)

    @property
    def verdict(self) -> str:
        """What it says of its failure, from its first line on; empty when all is well."""
        lines = [line for _, line in self.lines]
        start = next((n for n, line in enumerate(lines) if line.startswith("inv: ")), len(lines))
        return "\n".join(lines[start:])
