"""The background jobs of an environment, as `inv jobs` shows them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.lib.environments import jobs
from tasks.lib.errors import TaskError

NOW = 1_800_000_000.0


def job(state: str = "running", seconds: int | None = 5, **more: Any) -> dict[str, Any]:
    """A job that a worker holds."""
    made = {"job": "app.tasks.mail", "id": "7f3e", "worker": "celery@one", "limit": 310}
    return {**made, "state": state, "seconds": seconds, **more}


def found(**more: Any) -> dict[str, Any]:
    """What the image tells while one worker takes jobs."""
    usual: dict[str, Any] = {"queues": {"celery": 3}, "workers": {"celery@one": True}}
    return {**usual, "jobs": [], "failures": [], **more}


def failure(age: float) -> dict[str, Any]:
    """A job that failed so many seconds ago."""
    return {"at": NOW - age, "job": "app.tasks.mail", "id": "7f3e", "error": "ValueError"}


def shown(**more: Any) -> str:
    """What people see of what the image tells."""
    return jobs.report("prod", found(**more), 1, NOW).text()


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of the rows that begin with a word."""
    return [line.split() for line in text.splitlines() if line.startswith(first)]


def test_queues_workers_and_their_jobs_are_shown():
    held = [job(), job("scheduled", None), job("scheduled", None)]
    text = shown(jobs=held, workers={"celery@one": True, "celery@two": False})
    assert rows(text, "celery ") == [["celery", "3"]]
    assert rows(text, "celery@") == [
        ["celery@one", "takes", "jobs", "1", "0", "2"],
        ["celery@two", "stops", "0", "0", "0"],
    ]
    assert rows(text, "app.tasks.mail")[0][1:] == ["7f3e", "celery@one", "running", "5", "310"]
    assert rows(text, "app.tasks.mail")[1][1:] == ["7f3e", "celery@one", "scheduled", "-", "310"]


def test_an_idle_site_without_workers_is_shown():
    text = shown(workers={})
    assert "no worker answers" in text and "no job runs" in text
    assert text.endswith("failed in the last day: 0")


def test_failures_of_a_day_are_counted_and_the_newest_shown():
    text = shown(failures=[failure(60 * n) for n in range(9)] + [failure(90_000)])
    assert "failed in the last day: 9" in text
    assert len(rows(text, "2027-01-15T")) == jobs.NEWEST
    assert rows(text, "2027-01-15T")[0] == [
        "2027-01-15T08:00:00Z", "app.tasks.mail", "7f3e", "ValueError"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("workers", "wanted", "line"),
    [
        ({"celery@one": True}, 1, []),
        ({"celery@one": True, "celery@old": False}, 1, []),
        ({}, 0, []),
        ({"celery@one": True, "celery@old": False}, 2, ["1 of 2 workers do not answer"]),
        ({}, 1, ["1 of 1 workers do not answer"]),
    ],
)
def test_a_worker_that_does_not_answer_is_a_problem_and_one_that_stops_is_not_counted(
    workers, wanted, line
):
    assert jobs.problems(found(workers=workers), wanted) == line


@pytest.mark.parametrize(("seconds", "count"), [(310, 0), (320, 0), (321, 1)])
def test_a_job_that_runs_on_after_its_limit_is_a_problem(seconds, count):
    lines = jobs.problems(found(jobs=[job(seconds=seconds), job("reserved", None)]), 1)
    assert len(lines) == count
    if lines:
        assert lines == ["app.tasks.mail 7f3e runs for 321 s on celery@one, its limit is 310 s"]


def test_a_report_is_read_from_a_replica_of_the_app(world):
    cluster = world.target.orchestrator.inner.cluster
    with pytest.raises(TaskError, match="no replica of the app shows its jobs - inv status"):
        jobs.read(world.target)
    world.deploy(world.image())
    cluster.report = f"a warning\n{json.dumps(found())}"
    assert "celery@one" in jobs.read(world.target).text()
    cluster.report = json.dumps({"problem": "the broker does not answer: TimeoutError"})
    with pytest.raises(TaskError, match="the broker does not answer: TimeoutError - inv status"):
        jobs.read(world.target)
