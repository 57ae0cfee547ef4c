"""One-off jobs on a Swarm: services that are never restarted, run to their end."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ... import console
from ...docker.retry import again
from ...errors import TaskError
from ...process import wait_until
from ...project import contract
from ..base import Guard, Job
from ..stack import Stack
from .client import STACK, Swarm
from .progress import ENDED_BADLY, describe
from .rendering import JOBS, render_jobs
from .tasks import TaskWatcher

POLL = 0.3
# Seconds after which a quiet job's log is searched for what it waits for.
PATIENCE = 6
# Seconds that the last lines of a job that has ended may take to arrive.
LATE = 20
MORE = re.compile(r"(DETAIL|HINT|CONTEXT|QUERY|LINE \d+):|\s|$")


@dataclass
class Run:
    """A job that runs, or has ended.

    Args:
        quiet: show only what it waits for, and all of its lines if it fails.
        answer: how the line begins that it ends with; empty if it has none.
        shown: how many of its lines were shown.
        done: when it was first known to have succeeded.
    """

    name: str
    service: Mapping[str, Any]
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


def run(
    swarm: Swarm, stack: Stack, jobs: Sequence[Job], timeout: float, guard: Guard, answer: str
) -> str:
    """Run jobs at the same time; see base.Orchestrator.run_jobs."""
    made, lost = render_jobs(stack, jobs), False
    mine: list[str] = []
    # Who lost the lock must not end the jobs of its new holder.
    guard.confirm()
    clear(swarm, stack.name)
    try:
        swarm.apply(made)
        services = swarm.services(made.name, made.services)
        mine = [f"id={service['ID']}" for service in services.values()]
        runs = [Run(job.name, services[job.name], bool(answer)) for job in jobs]
        runs[0].answer = answer
        _wait(swarm, runs, timeout, guard)
        return runs[0].output if answer else ""
    except Exception:
        # If another deploy took the lock over, it has ended these jobs: that is the reason, then.
        lost = guard.lost
        guard.check()
        raise
    finally:
        if mine:
            _clear(swarm, *mine)
        elif not lost:
            clear(swarm, stack.name)


def clear(swarm: Swarm, stack: str) -> None:
    """Remove the jobs of a stack, whether they run or have ended."""
    _clear(swarm, f"label={STACK}={stack}{JOBS}")


def _clear(swarm: Swarm, *filters: str) -> None:
    words = [word for each in filters for word in ("--filter", each)]
    again(lambda: swarm.remove_services(swarm.ids("service", *words)))


def _wait(swarm: Swarm, runs: Sequence[Run], timeout: float, guard: Guard) -> None:
    """Wait until all jobs have ended well. Raises TaskError otherwise."""
    began, watcher = time.monotonic(), TaskWatcher(swarm, [job.service for job in runs])

    def ended() -> bool:
        guard.check()
        watcher.changed()
        for job in [job for job in runs if not job.ended]:
            mine = [task for task in watcher.tasks if task["ServiceID"] == job.service["ID"]]
            _look(swarm, job, mine, time.monotonic() - began > PATIENCE)
        if bad := next((job for job in runs if job.failed), None):
            parts = (f"{bad.name} {bad.failed}", reason(bad.lines))
            raise TaskError(": ".join(filter(None, parts)))
        return all(job.ended for job in runs)

    try:
        wait_until(ended, timeout, POLL)
    except TimeoutError:
        late = ", ".join(job.name for job in runs if not job.ended)
        raise TaskError(f"{late} did not end within {timeout:.0f} s (deploy.timeout)") from None


def _look(swarm: Swarm, job: Run, tasks: Sequence[Mapping[str, Any]], late: bool) -> None:
    """Look at a job, and show what it has printed since the last time."""
    job.ended, job.failed = verdict(tasks)
    loud = not job.quiet or job.failed
    if loud or late or (job.ended and job.answer):
        job.lines = swarm.logs(job.service["Spec"]["Name"])
        lines = [line for line in job.lines if loud or line.startswith(contract.WAITS)]
        for line in lines[job.shown :]:
            console.say(f"  {line}")
        job.shown = len(lines)
    if job.ended and not job.failed and job.answer and not job.output:
        # A container's last line may arrive after the news that it has ended.
        job.done = job.done or time.monotonic()
        job.ended = time.monotonic() - job.done > LATE
        job.failed = "succeeded, but its output cannot be read" if job.ended else ""


def verdict(tasks: Sequence[Mapping[str, Any]]) -> tuple[bool, str]:
    """Return whether a job has ended, and how it failed, if it did."""
    bad = next((task for task in tasks if task["Status"]["State"] in ENDED_BADLY), None)
    if bad:
        return True, describe({**bad, "Slot": None})
    going = [task for task in tasks if task["Status"]["State"] != "complete"]
    # Swarm does not start it elsewhere, and calls it lost only after a day.
    if any(task["DesiredState"] == "shutdown" for task in going):
        return True, "failed: its server went away"
    return bool(tasks) and not going, ""


def reason(lines: Sequence[str]) -> str:
    """Return the line that gives the reason: the last, without PostgreSQL's additions to errors."""
    return next((line for line in reversed(lines) if not MORE.match(line)), "")
