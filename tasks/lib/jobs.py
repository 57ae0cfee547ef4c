"""One-off jobs on a Swarm: run to their end, their output shown."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import console
from .errors import Failed
from .rollout import ENDED_BADLY, describe
from .swarm import again

if TYPE_CHECKING:
    from .lease import Lease
    from .stack import Stack
    from .swarm import Swarm

POLL = 0.3


@dataclass
class Job:
    """A job that runs, or has ended.

    Args:
        shown: how many of its lines were shown.
        failed: how it ended, if badly.
    """

    stack: Stack
    quiet: bool
    shown: int = 0
    lines: tuple[str, ...] = ()
    ended: bool = False
    failed: str = ""

    @property
    def name(self) -> str:
        """What it is called in its stack."""
        return next(iter(self.stack.content["services"]))

    @property
    def service(self) -> str:
        """The service's full name."""
        return f"{self.stack.name}_{self.name}"


def run(
    swarm: Swarm, stacks: list[Stack], timeout: float, lease: Lease, quiet: bool = False
) -> list[str]:
    """Run jobs at the same time, showing what they print. Returns the lines of the first.

    Args:
        timeout: seconds that they may take together.
        quiet: show their lines only when one fails.
    Raises Failed when one fails, with its exit code; none is left behind.
    """
    jobs = [Job(each, quiet) for each in stacks]
    try:
        for job in jobs:
            clear(swarm, job.stack.name)
            swarm.apply(job.stack)
        deadline = time.monotonic() + timeout
        while not all(job.ended for job in jobs):
            lease.check()
            for job in jobs:
                _look(swarm, job)
            _fail(jobs)
            if time.monotonic() > deadline:
                late = ", ".join(job.name for job in jobs if not job.ended)
                raise Failed(f"{late} did not end within {timeout:.0f} s (deploy.timeout)")
            time.sleep(POLL)
        return list(jobs[0].lines)
    finally:
        for job in jobs:
            clear(swarm, job.stack.name)


def clear(swarm: Swarm, stack: str) -> None:
    """Remove a job, whether it runs or has ended."""

    def remove() -> None:
        services = swarm.services(stack).values()
        swarm.remove_services([each["Spec"]["Name"] for each in services])

    again(remove)


def _look(swarm: Swarm, job: Job) -> None:
    """See how a job stands, and show what it has printed since."""
    if job.ended:
        return
    services = swarm.services(job.stack.name)
    tasks = swarm.tasks(services.values())
    job.ended, job.failed = verdict(next(iter(services.values()), {}), tasks)
    if job.ended or not job.quiet:
        lines = tuple(swarm.logs(job.service))
        for line in lines[job.shown :] if not job.quiet or job.failed else ():
            console.say(f"  {line}")
        job.lines, job.shown = lines, len(lines)


def verdict(service: Mapping[str, Any], tasks: list[dict[str, Any]]) -> tuple[bool, str]:
    """Whether a job has ended, and how if badly, from what docker says of it."""
    bad = next((each for each in tasks if each["Status"]["State"] in ENDED_BADLY), None)
    if bad:
        return True, describe(bad)
    status = service.get("ServiceStatus") or {}
    done = [each for each in tasks if each["Status"]["State"] == "complete"]
    wanted = 1 if "ReplicatedJob" in service.get("Spec", {}).get("Mode", {}) else len(tasks)
    return bool(done) and len(done) >= (status.get("DesiredTasks") or wanted), ""


def _fail(jobs: list[Job]) -> None:
    for job in jobs:
        if job.failed:
            last = f": {job.lines[-1].strip()}" if job.lines else ""
            raise Failed(f"{job.name} {job.failed}{last}")
