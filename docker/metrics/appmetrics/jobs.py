"""Imported by Celery's worker: counts and times its jobs, by the name that the app gave them."""

from time import perf_counter
from typing import Any

from celery.signals import task_failure, task_postrun, task_prerun, worker_ready
from prometheus_client import Counter, Gauge, Histogram

from . import RELEASE

BUCKETS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)

BUSY = Gauge("app_jobs_in_progress", "Jobs that run", multiprocess_mode="sum")
JOBS = Counter("app_jobs", "Jobs that ended", ["name", "outcome", "release"])
SECONDS = Histogram("app_job_seconds", "Time that a job ran", ["name", "release"], buckets=BUCKETS)
_began: dict[str, float] = {}


@worker_ready.connect
def known(sender: Any, **_: object) -> None:
    """Count failures from 0 on: of a count that first appears as 6, Prometheus sees no increase."""
    for name in sender.app.tasks:
        if not name.startswith("celery."):
            JOBS.labels(name, "failure", RELEASE)


@task_prerun.connect
def begun(task_id: str, **_: object) -> None:
    """Note when a job begins."""
    _began[task_id] = perf_counter()
    BUSY.inc()


@task_postrun.connect
def ended(sender: Any, task_id: str, state: str | None = None, **_: object) -> None:
    """Count a job that ended."""
    BUSY.dec()
    if (began := _began.pop(task_id, None)) is not None:
        SECONDS.labels(sender.name, RELEASE).observe(perf_counter() - began)
    if state != "FAILURE":
        JOBS.labels(sender.name, (state or "unknown").lower(), RELEASE).inc()


@task_failure.connect
def failed(sender: Any, **_: object) -> None:
    """Count a job that failed, also one whose process was killed: another one says so then."""
    JOBS.labels(sender.name, "failure", RELEASE).inc()
