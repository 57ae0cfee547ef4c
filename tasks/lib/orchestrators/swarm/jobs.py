"""One-off jobs on a Swarm: services that are never restarted, run to their end."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ... import console
from ...docker.retry import again
from ...errors import TaskError
from ...project import contract
from ..base import Guard, Job
from ..stack import Stack
from .client import STACK, Swarm
from .progress import ENDED_BADLY, describe
from .rendering import JOBS, render_job, together
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
        name: its name in the stack.
        service: its service's full name.
        quiet: show only what it waits for, and all of its lines if it fails.
        answer: how the line begins that it ends with; empty if it has none.
        shown: how many of its lines were shown.
        failed: how it failed, if it did.
    """

    name: str
    service: str
    quiet: bool
    answer: str = ""
    shown: int = 0
    lines: tuple[str, ...] = ()
    ended: bool = False
    failed: str = ""
    began: float = field(default_factory=time.monotonic)
    done: float = 0

    @property
    def output(self) -> str:
        """Its answer; empty as long as there is none."""
        lines = (line for line in reversed(self.lines) if line.startswith(self.answer))
        return next(lines, "")

    def shows(self, line: str) -> bool:
        """Return whether a line is to be shown."""
        return not self.quiet or bool(self.failed) or line.startswith(contract.WAITS)


def run(
    swarm: Swarm, stack: Stack, jobs: Sequence[Job], timeout: float, guard: Guard, answer: str
) -> str:
    """Run jobs at the same time; see base.Orchestrator.run_jobs."""
    stacks = [render_job(stack, job) for job in jobs]
    name, lost = stacks[0].name, False
    runs = [
        Run(job.name, f"{name}_{job.name}", bool(answer), "" if number else answer)
        for number, job in enumerate(jobs)
    ]
    # Who lost the lock must not end the jobs of its new holder.
    guard.confirm()
    mine = [_of(name)]
    _clear(swarm, *mine)
    try:
        swarm.apply(together(stacks))
        services = swarm.services(name, [job.name for job in jobs])
        mine = [f"id={service['ID']}" for service in services.values()]
        _wait(swarm, services, runs, timeout, guard)
        return runs[0].output
    except Exception:
        # If another deploy took the lock over, it has ended these jobs: that is the reason, then.
        lost = guard.lost
        guard.check()
        raise
    finally:
        if not (lost and mine == [_of(name)]):
            _clear(swarm, *mine)


def clear(swarm: Swarm, stack: str) -> None:
    """Remove the jobs of a stack, whether they run or have ended."""
    _clear(swarm, _of(f"{stack}{JOBS}"))


def _of(name: str) -> str:
    return f"label={STACK}={name}"


def _clear(swarm: Swarm, *filters: str) -> None:
    words = [word for each in filters for word in ("--filter", each)]
    again(lambda: swarm.remove_services(swarm.query("service", "ls", "--quiet", *words).split()))


def _wait(
    swarm: Swarm,
    services: Mapping[str, Mapping[str, Any]],
    runs: Sequence[Run],
    timeout: float,
    guard: Guard,
) -> None:
    """Wait until all jobs have ended well. Raises TaskError otherwise."""
    deadline = time.monotonic() + timeout
    watcher = TaskWatcher(swarm, services.values())
    while True:
        guard.check()
        watcher.changed()
        for job in runs:
            mine = services[job.name]["ID"]
            if not job.ended:
                _look(swarm, job, [task for task in watcher.tasks if task["ServiceID"] == mine])
        _fail(runs)
        late = [job.name for job in runs if not job.ended]
        if not late:
            return
        if time.monotonic() > deadline:
            what = f"{', '.join(late)} did not end within {timeout:.0f} s"
            raise TaskError(f"{what} (deploy.timeout)")
        time.sleep(POLL)


def _look(swarm: Swarm, job: Run, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Look at a job, and show what it has printed since the last time."""
    job.ended, job.failed = verdict(tasks)
    ended = job.failed or (job.ended and job.answer)
    if ended or not job.quiet or time.monotonic() - job.began > PATIENCE:
        job.lines = tuple(swarm.logs(job.service))
        lines = [line for line in job.lines if job.shows(line)]
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


def _fail(runs: Sequence[Run]) -> None:
    for job in runs:
        if job.failed:
            why = reason(job.lines)
            raise TaskError(f"{job.name} {job.failed}" + (f": {why}" if why else ""))


def reason(lines: Sequence[str]) -> str:
    """Return the line that gives the reason: the last, without PostgreSQL's additions to errors."""
    return next((line for line in reversed(lines) if not MORE.match(line)), "")
