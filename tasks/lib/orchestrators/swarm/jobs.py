"""One-off jobs on a Swarm: run to their end, their output shown."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ... import console
from ...docker.retry import again
from ...errors import TaskError
from . import stack
from .client import STACK, TaskWatcher
from .progress import ENDED_BADLY, describe

if TYPE_CHECKING:
    from ...environments.lock import Lock
    from .client import Swarm
    from .stack import Stack

POLL = 0.3
# Seconds after which a quiet job is asked what it waits for, and how a line that tells it begins.
PATIENCE, WAITS = 6, "waiting for "
# Seconds that the last lines of a job that has ended may take to arrive.
LATE = 20
MORE = re.compile(r"(DETAIL|HINT|CONTEXT|QUERY|LINE \d+):|\s|$")


@dataclass
class Job:
    """A job that runs, or has ended.

    Args:
        quiet: show only what it waits for, and all of its lines when it fails.
        answer: how the line begins that it ends with; empty when it has none.
        shown: how many of its lines were shown.
        failed: how it ended, if badly.
    """

    stack: Stack
    quiet: bool
    answer: str = ""
    shown: int = 0
    lines: tuple[str, ...] = ()
    ended: bool = False
    failed: str = ""
    began: float = field(default_factory=time.monotonic)
    done: float = 0

    @property
    def name(self) -> str:
        """What it is called in its stack."""
        return next(iter(self.stack.content["services"]))

    @property
    def service(self) -> str:
        """The service's full name."""
        return f"{self.stack.name}_{self.name}"

    @property
    def said(self) -> str:
        """Its answer; empty as long as that is not there."""
        lines = (line for line in reversed(self.lines) if line.startswith(self.answer))
        return next(lines, "")

    def tells(self, line: str) -> bool:
        """Whether a line is to be shown."""
        return not self.quiet or bool(self.failed) or line.startswith(WAITS)


def run(swarm: Swarm, stacks: list[Stack], timeout: float, lease: Lock, answer: str = "") -> str:
    """Run jobs at the same time, showing what they print.

    Args:
        timeout: seconds that they may take together.
        answer: how the line of the first begins that is returned; only what they wait for is shown
            then, and all the lines of one that fails.
    Raises TaskError when one fails, with its exit code; none is left behind.
    """
    jobs = [Job(each, bool(answer), "" if number else answer) for number, each in enumerate(stacks)]
    name, lost = stacks[0].name, False
    # Whoever lost the lock must not end the jobs of who has it now.
    lease.confirm()
    mine = [_of(name)]
    _clear(swarm, *mine)
    try:
        swarm.apply(stack.together(stacks))
        services = swarm.services(name, [job.name for job in jobs])
        mine = [f"id={each['ID']}" for each in services.values()]
        _wait(swarm, services, jobs, timeout, lease)
        return jobs[0].said
    except Exception:
        # Who took the lock over has ended them: that is why, then.
        lost = lease.lost
        lease.check()
        raise
    finally:
        if not (lost and mine == [_of(name)]):
            _clear(swarm, *mine)


def clear(swarm: Swarm, name: str) -> None:
    """Remove the jobs of the stack of a name, whether they run or have ended."""
    _clear(swarm, _of(f"{name}{stack.JOBS}"))


def _of(name: str) -> str:
    """What tells the services of a stack."""
    return f"label={STACK}={name}"


def _clear(swarm: Swarm, *filters: str) -> None:
    words = [word for each in filters for word in ("--filter", each)]
    again(lambda: swarm.remove_services(swarm.query("service", "ls", "--quiet", *words).split()))


def _wait(
    swarm: Swarm,
    services: Mapping[str, Mapping[str, Any]],
    jobs: list[Job],
    timeout: float,
    lease: Lock,
) -> None:
    """Wait until all jobs have ended well. Raises TaskError otherwise."""
    deadline = time.monotonic() + timeout
    watched = TaskWatcher(swarm, services.values())
    while True:
        lease.check()
        watched.changed()
        for job in jobs:
            mine = services[job.name]["ID"]
            if not job.ended:
                _look(swarm, job, [each for each in watched.tasks if each["ServiceID"] == mine])
        _fail(jobs)
        late = [job.name for job in jobs if not job.ended]
        if not late:
            return
        if time.monotonic() > deadline:
            what = f"{', '.join(late)} did not end within {timeout:.0f} s"
            raise TaskError(f"{what} (deploy.timeout)")
        time.sleep(POLL)


def _look(swarm: Swarm, job: Job, tasks: list[dict[str, Any]]) -> None:
    """See how a job stands, and show what it has printed since."""
    job.ended, job.failed = verdict(tasks)
    ended = job.failed or (job.ended and job.answer)
    if ended or not job.quiet or time.monotonic() - job.began > PATIENCE:
        job.lines = tuple(swarm.logs(job.service))
        lines = [each for each in job.lines if job.tells(each)]
        for line in lines[job.shown :]:
            console.say(f"  {line}")
        job.shown = len(lines)
    if job.ended and not job.failed and job.answer and not job.said:
        # What a container wrote last may come after the word that it has ended.
        job.done = job.done or time.monotonic()
        job.ended = time.monotonic() - job.done > LATE
        job.failed = "ended well, but its output cannot be read" if job.ended else ""


def verdict(tasks: Sequence[Mapping[str, Any]]) -> tuple[bool, str]:
    """Whether a job has ended, and how if badly, from what docker says of its tasks."""
    bad = next((each for each in tasks if each["Status"]["State"] in ENDED_BADLY), None)
    if bad:
        return True, describe({**bad, "Slot": None})
    going = [each for each in tasks if each["Status"]["State"] != "complete"]
    # Swarm does not start it elsewhere, and itself calls it lost only after a day.
    if any(each["DesiredState"] == "shutdown" for each in going):
        return True, "failed: its server went away"
    return bool(tasks) and not going, ""


def _fail(jobs: list[Job]) -> None:
    for job in jobs:
        if job.failed:
            why = reason(job.lines)
            raise TaskError(f"{job.name} {job.failed}" + (f": {why}" if why else ""))


def reason(lines: Sequence[str]) -> str:
    """The line that says why: the last, but for what PostgreSQL adds to its errors."""
    return next((line for line in reversed(lines) if not MORE.match(line)), "")
