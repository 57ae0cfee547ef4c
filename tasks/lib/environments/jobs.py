"""What an environment's background jobs do: queues, workers, running and failed jobs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ..console import table
from ..errors import TaskError
from ..project import contract
from ..reports import Report
from .connection import Target

# What docker/jobs.py prints.
Found = Mapping[str, Any]
COMMAND = f"{contract.ENTRYPOINT} {contract.JOBS}"
# Seconds that a job may run on after its limit, while its process is stopped.
SPARE = 10
# How many failures are shown, and the seconds in which they count.
NEWEST, DAY = 5, 86400
QUEUES = ("queue", "waiting")
WORKERS = ("worker", "state", "running", "reserved", "scheduled")
FIELDS = ("job", "id", "worker", "state", "seconds", "limit")
FAILURES = ("failed", "job", "id", "error")


class Queue(msgspec.Struct, frozen=True):
    """A queue, and how many jobs wait in it."""

    queue: str
    waiting: int


class Worker(msgspec.Struct, frozen=True):
    """A worker: whether it takes jobs, and how many it has in each state."""

    worker: str
    takes_jobs: bool
    running: int
    reserved: int
    scheduled: int


class Job(msgspec.Struct, frozen=True):
    """A job that a worker holds; `seconds` is null before it runs, `limit` without one."""

    job: str
    id: str
    worker: str
    state: str
    seconds: float | None
    limit: float | None


class FailedJob(msgspec.Struct, frozen=True):
    """A job that failed, and when (ISO 8601)."""

    at: str
    job: str
    id: str
    error: str


class Jobs(Report, frozen=True, kw_only=True, tag="jobs"):
    """An environment's background jobs.

    Args:
        failed: how many failed in the last day; `failures` are the newest of them.
    """

    environment: str
    queues: list[Queue]
    workers: list[Worker]
    jobs: list[Job]
    failed: int
    failures: list[FailedJob]

    def text(self) -> str:
        """Return the queues, the workers, the jobs that they hold, and the last failures."""
        queues = [(each.queue, str(each.waiting)) for each in self.queues]
        workers = [
            (
                each.worker,
                "takes jobs" if each.takes_jobs else "stops",
                *(str(getattr(each, state)) for state in WORKERS[2:]),
            )
            for each in self.workers
        ]
        jobs = [tuple("-" if (v := getattr(job, key)) is None else str(v) for key in FIELDS)
                for job in self.jobs]  # fmt: skip
        failures = [(each.at, each.job, each.id, each.error) for each in self.failures]
        return "\n\n".join(
            [
                table(queues, QUEUES),
                table(workers, WORKERS) if workers else "no worker answers",
                table(jobs, FIELDS) if jobs else "no job runs",
                f"failed in the last day: {self.failed}",
                *([table(failures, FAILURES)] if failures else []),
            ]
        )


def read(target: Target) -> Jobs:
    """Return an environment's jobs. Raises TaskError if no replica or no broker answers."""
    worker = target.orchestrator.services().get(contract.WORKER)
    shown = target.orchestrator.inside(contract.APP, COMMAND)
    if not shown:
        hint = f"inv status --env={target.name}; deploy again if its image is older than this task"
        raise TaskError("no replica of the app shows its jobs", hint)
    found = json.loads(shown.splitlines()[-1])
    if "problem" in found:
        raise TaskError(found["problem"], f"inv status --env={target.name}")
    return report(target.name, found, worker.progress.wanted if worker else 0, time.time())


def report(environment: str, found: Found, wanted: int, now: float) -> Jobs:
    """Return what the image says as a report; `wanted` is how many workers there should be."""
    held = Counter((job["worker"], job["state"]) for job in found["jobs"])
    recent = [each for each in found["failures"] if now - each["at"] < DAY]
    return Jobs(
        environment=environment,
        problems=problems(found, wanted),
        queues=[Queue(name, depth) for name, depth in found["queues"].items()],
        workers=[
            Worker(name, takes, *(held[name, state] for state in WORKERS[2:]))
            for name, takes in found["workers"].items()
        ],
        jobs=[Job(*(job[key] for key in FIELDS)) for job in found["jobs"]],
        failed=len(recent),
        failures=[
            FailedJob(moment(each["at"]), each["job"], each["id"], each["error"])
            for each in recent[:NEWEST]
        ],
    )


def moment(at: float) -> str:
    """Return a time as the history shows it."""
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def problems(found: Found, wanted: int) -> list[str]:
    """Return a line for workers that do not answer, and for each job that runs too long."""
    answer = sum(found["workers"].values())
    missing = f"{wanted - answer} of {wanted} workers do not answer"
    return [missing] * (answer < wanted) + [
        f"{job['job']} {job['id']} runs for {job['seconds']} s on {job['worker']}, "
        f"its limit is {job['limit']} s"
        for job in found["jobs"]
        if job["state"] == "running" and job["seconds"] > job["limit"] + SPARE
    ]
