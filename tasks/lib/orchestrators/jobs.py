"""One-off jobs, run to their end, whatever runs them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .. import console
from ..errors import TaskError
from ..process import wait_until
from ..project import contract
from .base import Guard, Job
from .evidence import LAST
from .status import Evidence

POLL = 0.3
# Seconds after which a quiet job's log is searched for what it waits for.
PATIENCE = 6
# Seconds that the last lines of a job that has ended may take to arrive.
LATE = 20
# And those of one that is shown, of which none has arrived yet, or some just now.
LAST_WORDS = 3
MORE = re.compile(r"(DETAIL|HINT|CONTEXT|QUERY|LINE \d+):|\s|$")


class JobError(TaskError):
    """A job failed; `evidence` are its last lines."""

    def __init__(self, what: str, lines: Sequence[str]) -> None:
        super().__init__(what)
        self.evidence = Evidence("", "", lines[-LAST:])


class Runner(Protocol):
    """Runs some jobs of a stack."""

    def clear(self) -> None:
        """Remove the jobs of the stack, whether they run or have ended."""

    def start(self) -> Sequence[Any]:
        """Start the jobs; return what each is known by."""

    def look(self) -> None:
        """Look at all of them again."""

    def verdict(self, handle: Any) -> tuple[bool, str]:
        """Return whether a job had ended at the last look, and how it failed, if it did."""

    def lines(self, handle: Any) -> list[str]:
        """Return what a job has logged."""

    def remove(self) -> bool:
        """Remove the jobs that were started; return whether it is known which."""


@dataclass
class Run:
    """A job that runs, or has ended.

    Args:
        speaks: see base.Job.
        quiet: show only what it waits for, and all of its lines if it fails.
        answer: how the line begins that it ends with; empty if it has none.
        shown: how many of its lines were shown.
        done: when it was first known to have ended.
    """

    name: str
    handle: Any
    speaks: bool
    quiet: bool
    answer: str = ""
    shown: int = 0
    lines: Sequence[str] = ()
    ended: bool = False
    failed: str = ""
    done: float = 0

    @property
    def output(self) -> str:
        """Its answer; empty as long as there is none."""
        return next((line for line in reversed(self.lines) if line.startswith(self.answer)), "")


def run(runner: Runner, jobs: Sequence[Job], timeout: float, guard: Guard, answer: str) -> str:
    """Run jobs at the same time; see base.Orchestrator.run_jobs."""
    lost = False
    # Who lost the lock must not end the jobs of its new holder.
    guard.confirm()
    runner.clear()
    try:
        handles = zip(jobs, runner.start(), strict=True)
        runs = [Run(job.name, handle, job.speaks, bool(answer)) for job, handle in handles]
        runs[0].answer = answer
        _wait(runner, runs, timeout, guard)
        return runs[0].output if answer else ""
    except Exception:
        # If another deploy took the lock over, it has ended these jobs: that is the reason, then.
        lost = guard.lost
        guard.check()
        raise
    finally:
        if not runner.remove() and not lost:
            runner.clear()


def _wait(runner: Runner, runs: Sequence[Run], timeout: float, guard: Guard) -> None:
    """Wait until all jobs have ended well. Raises TaskError otherwise."""
    began = time.monotonic()

    def ended() -> bool:
        guard.check()
        runner.look()
        for job in [job for job in runs if not job.ended]:
            _look(runner, job, time.monotonic() - began > PATIENCE)
        if bad := next((job for job in runs if job.failed), None):
            parts = (f"{bad.name} {bad.failed}", reason(bad.lines))
            raise JobError(": ".join(filter(None, parts)), bad.lines)
        return all(job.ended for job in runs)

    try:
        wait_until(ended, timeout, POLL)
    except TimeoutError:
        late = [job for job in runs if not job.ended]
        names = ", ".join(job.name for job in late)
        what = f"{names} did not end within {timeout:.0f} s (deploy.timeout)"
        raise JobError(what, [line for job in late for line in job.lines]) from None


def _look(runner: Runner, job: Run, late: bool) -> None:
    """Look at a job, and show what it has printed since the last time."""
    job.ended, job.failed = runner.verdict(job.handle)
    lines = grown = list[str]()
    loud = not job.quiet or job.failed
    if loud or late or (job.ended and job.answer):
        job.lines = runner.lines(job.handle)
        lines = [line for line in job.lines if loud or line.startswith(contract.WAITS)]
        grown = lines[job.shown :]
        for line in grown:
            console.say(f"  {line}")
        job.shown = len(lines)
    # A container's last lines may arrive after the news that it has ended.
    if not job.ended:
        return
    job.done = job.done or time.monotonic()
    since = time.monotonic() - job.done
    if loud:
        awaited = grown or (not lines and (job.failed or job.speaks))
        if awaited and since < LAST_WORDS:
            job.ended, job.failed = False, ""
    elif job.answer and not job.output:
        job.ended = since > LATE
        job.failed = "succeeded, but its output cannot be read" if job.ended else ""


def reason(lines: Sequence[str]) -> str:
    """Return the line that gives the reason: the last, without PostgreSQL's additions to errors."""
    return next((line for line in reversed(lines) if not MORE.match(line)), "")
