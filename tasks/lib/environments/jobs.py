"""What an environment's background jobs do: queues, workers, running and failed jobs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..console import table
from ..errors import TaskError
from ..project import contract
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
JOBS = ("job", "id", "worker", "state", "seconds", "limit")
FAILURES = ("failed", "job", "id", "error")


def report(target: Target) -> tuple[str, list[str]]:
    """Return an environment's jobs as text, and what is wrong with them, a line each."""
    worker = target.orchestrator.services().get(contract.WORKER)
    shown = target.orchestrator.inside(contract.APP, COMMAND)
    if not shown:
        hint = f"inv status --env={target.name}; deploy again if its image is older than this task"
        raise TaskError("no replica of the app shows its jobs", hint)
    found = json.loads(shown.splitlines()[-1])
    if "problem" in found:
        return "", [found["problem"]]
    return text(found, time.time()), problems(found, worker.progress.wanted if worker else 0)


def text(found: Found, now: float) -> str:
    """Return the queues, the workers, the jobs that they hold, and the last failures."""
    queues = [(name, str(depth)) for name, depth in found["queues"].items()]
    held = Counter((job["worker"], job["state"]) for job in found["jobs"])
    workers = [
        (name, "takes jobs" if takes else "stops", *(str(held[name, each]) for each in WORKERS[2:]))
        for name, takes in found["workers"].items()
    ]
    jobs = [
        tuple("-" if job[each] is None else str(job[each]) for each in JOBS)
        for job in found["jobs"]
    ]
    recent = [each for each in found["failures"] if now - each["at"] < DAY]
    failures = [
        (moment(each["at"]), each["job"], each["id"], each["error"]) for each in recent[:NEWEST]
    ]
    return "\n\n".join(
        [
            table(queues, QUEUES),
            table(workers, WORKERS) if workers else "no worker answers",
            table(jobs, JOBS) if jobs else "no job runs",
            f"failed in the last day: {len(recent)}",
            *([table(failures, FAILURES)] if failures else []),
        ]
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
