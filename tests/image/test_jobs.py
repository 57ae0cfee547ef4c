"""Background jobs: none is lost, and none runs twice unless it may, whatever ends its worker."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.image.engine import HERE, Container
from tests.testbed.commands import docker, until

pytestmark = pytest.mark.engine
MODULES = ("slow_job", "endless_job")
REDIS = {"REDIS_URL": "redis://redis:6379/0"}
SEND = "from myapp.celery import app; app.send_task({name!r}, args={args!r}, countdown={countdown})"
Start = Worker = Callable[..., Container]


def run(start: Start, network: str, *modules: str, memory: str = "", **env: str) -> Container:
    """Start a worker that knows the jobs of slow_job, and other modules."""
    mounts = [f"--volume={HERE}/{name}.py:/app/docker/{name}.py:ro" for name in MODULES]
    included = ",".join(("worker", "slow_job", *modules))
    limits = [f"--memory={memory}", f"--memory-swap={memory}"] if memory else []
    options = [f"--network={network}", *limits, *mounts]
    return start("worker", f"--include={included}", options=options, **{**REDIS, **env})


@pytest.fixture
def worker(start: Start, redis: str) -> Worker:
    """Starts workers."""
    return partial(run, start, redis)


def send(worker: Container, name: str, *args: Any, countdown: float = 0) -> None:
    """Publish a job."""
    code = SEND.format(name=f"slow_job.{name}", args=args, countdown=countdown)
    worker.execute("python", "-c", code)


def report(worker: Container) -> dict[str, Any]:
    """What the jobs do, as the image tells it."""
    return dict(json.loads(worker.execute("/app/docker/entrypoint", "jobs").splitlines()[-1]))


@pytest.mark.slow
def test_a_worker_that_stops_ends_what_runs_and_gives_the_rest_back_at_once(worker):
    first = worker(WORKER_CONCURRENCY="1", JOB_SECONDS="90")
    first.becomes("healthy")
    send(first, "early", "the last one", countdown=60)
    send(first, "early", "the later one", countdown=10)
    send(first, "early", "the long one", 60)
    first.prints("the long one begins")
    send(first, "early", "the next one")
    states = ["reserved", "running", "scheduled"]
    until(lambda: sorted(job["state"] for job in report(first)["jobs"]) == states)
    docker("kill", "--signal=TERM", first.id)
    second = worker(WORKER_CONCURRENCY="1")
    second.prints("the later one is done", 12)
    assert report(second)["workers"] == {
        f"celery@{first.id[:12]}": False, f"celery@{second.id[:12]}": True
    }  # fmt: skip
    assert "the long one is done" not in first.logs()
    second.prints("the last one is done", 60)
    until(lambda: not first.state()["Running"], 60)
    assert "the long one is done" in first.logs() and first.state()["ExitCode"] == 0
    printed = first.logs() + second.logs()
    for name in ("the long one", "the next one", "the later one", "the last one"):
        assert printed.count(f"{name} begins") == printed.count(f"{name} is done") == 1
    assert "the next one is done" in second.logs()
    assert report(second)["jobs"] == []


@pytest.mark.slow
def test_a_job_that_outlasts_its_worker_runs_again_at_once(worker):
    first = worker(JOB_SECONDS="1")
    first.becomes("healthy")
    send(first, "long", "the longest", 40)
    first.prints("the longest begins")
    began = time.monotonic()
    docker("kill", "--signal=TERM", first.id)
    second = worker()
    second.prints("the longest begins", 60)
    assert 20 < time.monotonic() - began < 45
    assert not first.state()["Running"]


def test_a_worker_does_not_start_with_a_job_that_it_would_lose(worker):
    made = worker("endless_job")
    made.prints("endless_job.endless may run 900 s, and a worker that stops waits only 310 s")
    until(lambda: not made.state()["Running"])
    assert "make it acks_late, or raise deploy.joblimit in invoke.yaml" in made.logs()
    assert "Traceback" not in made.logs()


def test_a_job_whose_process_is_killed_runs_again_if_it_may_but_not_for_ever(worker):
    made = worker()
    made.becomes("healthy")
    send(made, "early_killed", "an early one")
    send(made, "late_killed", "a late one")
    until(lambda: len(report(made)["failures"]) == 2)
    assert made.logs().count("an early one begins") == 1
    assert made.logs().count("a late one begins") == 3
    failures = {each["job"]: each["error"] for each in report(made)["failures"]}
    assert failures == dict.fromkeys(
        ("slow_job.early_killed", "slow_job.late_killed"), "WorkerLostError"
    )


def test_a_process_that_has_grown_is_replaced_after_its_job_before_the_kernel_kills_it(worker):
    made = worker(memory="1000m", WORKER_CONCURRENCY="1")
    made.becomes("healthy")
    # Two of them are more than the share of the only process, and three more than there is.
    for number in range(5):
        send(made, "grow", f"job {number}", 430)
        made.prints(f"job {number} is one of ")
    kept = re.findall(r"job \d is one of (\d)", made.logs())
    assert kept == ["1", "2", "1", "2", "1"]
    assert not made.state()["OOMKilled"]


def test_a_worker_with_too_little_memory_for_its_processes_says_so(worker):
    made = worker(memory="300m", WORKER_CONCURRENCY="40")
    made.prints("300 MiB are too few for 40 processes: give it more, or lower WORKER_CONC")


def test_a_job_past_its_limit_fails_and_is_kept_without_what_it_said(worker):
    made = worker(JOB_SECONDS="1")
    made.becomes("healthy")
    send(made, "early", "a secret name", 30)
    until(lambda: report(made)["failures"])
    assert "secret" not in json.dumps(report(made))
    assert report(made)["failures"][0]["error"] == "SoftTimeLimitExceeded"


def test_a_job_that_only_the_next_release_knows_waits_for_it(start, redis, worker):
    old = start("worker", options=[f"--network={redis}"], **REDIS)
    old.becomes("healthy")
    for number in range(5):
        send(old, "early", f"the new one {number}", 0)
    old.prints("Job 'slow_job.early' is not known here")
    new = worker()
    for number in range(5):
        new.prints(f"the new one {number} is done", 40)
    assert report(new)["failures"] == []
    docker("kill", "--signal=TERM", old.id)
    until(lambda: not old.state()["Running"])


@pytest.mark.slow
def test_a_redis_that_is_killed_has_lost_no_job_that_it_confirmed(start, kept_redis):
    network, redis = kept_redis
    made = run(start, network, REDIS_URL="redis://default:a-password@redis:6379/0")
    made.becomes("healthy")
    send(made, "early", "the early one", 30)
    send(made, "late", "the late one", 30)
    made.prints("the late one begins")
    for number in range(5):
        send(made, "early", f"the next one {number}.", 0)
    docker("pause", redis)
    assert report(made)["problem"].startswith("the broker does not answer: ")
    docker("unpause", redis)
    docker("kill", redis)
    docker("start", redis)
    names = ("the early one", "the late one", *(f"the next one {number}." for number in range(5)))
    for name in names:
        made.prints(f"{name} is done", 120)
    # The late one, which could not be acknowledged, may run twice.
    assert [made.logs().count(f"{name} begins") for name in names if "late" not in name] == [1] * 6


@pytest.mark.slow
def test_jobs_of_a_killed_worker_run_again_soon(worker):
    first = worker()
    first.becomes("healthy")
    send(first, "late", "the late one", 600)
    send(first, "early", "the one for later", countdown=20)
    send(first, "early", "the early one", 600)
    first.prints("the early one begins")
    docker("kill", first.id)
    second = worker(WORKER_CONCURRENCY="4")
    second.becomes("healthy")
    second.prints("the late one begins", 80)
    second.prints("the one for later is done", 80)
    assert "the early one" not in second.logs()


@pytest.mark.slow
def test_a_countdown_longer_than_the_lease_runs_once(worker):
    made = worker(), worker()
    for each in made:
        each.becomes("healthy")
    send(made[0], "early", "the patient one", countdown=100)
    until(lambda: any("the patient one is done" in each.logs() for each in made), 120)
    time.sleep(5)
    assert sum(each.logs().count("the patient one begins") for each in made) == 1
