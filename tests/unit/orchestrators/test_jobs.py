"""One-off jobs: what of their output is shown, and told as the reason when they fail."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.lib.orchestrators import jobs
from tasks.lib.orchestrators.base import Job


def late(line: str, status: int, seconds: float = 1) -> str:
    """Return a job whose log gets a line later than it is known that the job has ended."""
    return f'( sleep {seconds}; echo "{line}" >>"$1" ) & exit {status}'


class Processes:
    """Runs jobs as processes of this machine, whose output is in a log."""

    def __init__(self, log: Path, script: str) -> None:
        self.log, self.script = log, script
        self.running: list[subprocess.Popen[bytes]] = []

    def clear(self) -> None:
        """There are no others."""

    def start(self) -> Sequence[subprocess.Popen[bytes]]:
        self.log.touch()
        self.running = [subprocess.Popen(["sh", "-c", self.script, "sh", self.log])]
        return self.running

    def look(self) -> None:
        """Each is looked at when it is asked for."""

    def verdict(self, handle: subprocess.Popen[bytes]) -> tuple[bool, str]:
        status = handle.poll()
        return status is not None, f"exit code {status}" if status else ""

    def lines(self, handle: subprocess.Popen[bytes]) -> list[str]:
        return self.log.read_text().splitlines()

    def remove(self) -> bool:
        return True


class Held:
    """The lock is held."""

    lost = False

    def check(self) -> None:
        """It is not lost."""

    def confirm(self) -> None:
        """It is not lost."""


@pytest.mark.parametrize(
    ("script", "said"),
    [(late("Unknown command: no_such", 1), ": Unknown command: no_such"), ("exit 1", "")],
)
def test_the_last_words_of_a_job_that_failed_are_waited_for(tmp_path, capsys, script, said):
    with pytest.raises(jobs.JobError) as caught:
        jobs.run(Processes(tmp_path / "log", script), [Job("manage", [])], 30, Held(), "")
    assert str(caught.value) == f"manage exit code 1{said}"
    assert ("Unknown command" in capsys.readouterr().err) == bool(said)


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        (late("[X] 0001_initial", 0), ["[X] 0001_initial"]),
        (f'echo polls >>"$1"; {late("[ ] 0002", 0, 0.1)}', ["polls", "[ ] 0002"]),
    ],
)
def test_so_are_those_of_a_job_that_was_run_for_what_it_prints(tmp_path, capsys, script, shown):
    job = Job("manage", [], speaks=True)
    jobs.run(Processes(tmp_path / "log", script), [job], 30, Held(), "")
    assert capsys.readouterr().err.split("\n") == [*(f"  {line}" for line in shown), ""]


def test_nobody_waits_for_the_words_of_a_job_that_has_none(tmp_path):
    began = time.monotonic()
    jobs.run(Processes(tmp_path / "log", "exit 0"), [Job("static", [])], 30, Held(), "")
    assert time.monotonic() - began < jobs.LAST_WORDS
