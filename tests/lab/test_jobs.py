"""Background jobs of the site: what deploys, rollbacks and killed processes do to them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.testbed.commands import until
from tests.testbed.sites import Site

from .trouble import another

pytestmark = [pytest.mark.engine, pytest.mark.slow]
# Jobs may take 70 s here: conftest.py.
LONG, MIDDLE, SHORT = 60, 20, 5
SEND = """
from myapp.celery import app
for kind, name, seconds, countdown in {jobs!r}:
    app.send_task("myapp.tasks." + kind, args=(name, seconds), countdown=countdown)
"""
# Kind, seconds, countdown.
Job = tuple[str, float, float]
MANY: list[Job] = [
    ("early", LONG, 0), ("late", LONG, 0), ("early", MIDDLE, 0), ("late", MIDDLE, 0),
    *[("early", SHORT, 0), ("late", SHORT, 0), ("early", SHORT, 30)] * 2,
]  # fmt: skip


def within(site: Site, service: str, script: str, text: str = "") -> str:
    """Run a command where a replica of a service is, with its container as $ID."""
    find = f"ID=$(docker ps -q -f name={site.stack}_{service}. | head -n 1); "
    node = next(each for each in site.nodes if site.on(each, f"{find} echo $ID"))
    return site.on(node, find + script, text)


@pytest.fixture
def send(site: Site) -> Callable[[list[Job]], list[str]]:
    """Publishes jobs, and returns their names, which no other job has."""
    stamp = time.time_ns()

    def publish(jobs: list[Job]) -> list[str]:
        names = [f"{kind}-{stamp}-{number}" for number, (kind, _, _) in enumerate(jobs)]
        named = [(kind, name, *rest) for name, (kind, *rest) in zip(names, jobs, strict=True)]
        within(site, "app", "docker exec -i $ID python", SEND.format(jobs=named))
        return names

    return publish


def times(site: Site, names: list[str], what: str) -> list[int]:
    """How often each job began or was done, as the workers logged it."""
    # It can wait for ever for the log of a container that has just gone.
    logs = f"timeout 20 docker service logs --raw {site.stack}_worker 2>&1"
    logged = site.on("node1", f"{logs} || {logs} || {logs}")
    return [logged.count(f"{name} {what}") for name in names]


def each_once(site: Site, names: list[str]) -> None:
    """Wait until all jobs are done, and see that each ran once."""
    until(lambda: min(times(site, names, "is done")) > 0, 240, pause=2)
    once = [1] * len(names)
    assert (times(site, names, "begins"), times(site, names, "is done")) == (once, once)


def idle(site: Site) -> None:
    """Wait until the worker answers and has nothing to do."""
    until(lambda: "no job runs" in site.inv("jobs").text and not site.inv("jobs").status, 120)


@pytest.mark.fault("a deploy meets jobs of 60, 20 and 5 s")
def test_a_deploy_loses_no_job_and_runs_none_twice(site, send, fault):
    new = another(site)
    run = site.begin("deploy", f"--ref={new}")
    run.until("==> checking the image")
    names = send(MANY)
    done = run.wait()
    shown = site.must("jobs").text
    assert "stops" in shown and "takes jobs" in shown
    fault(done, status=0, serves=new)
    assert times(site, names[:1], "is done") == [0]
    each_once(site, names)


@pytest.mark.fault("a rollback meets jobs of 60, 20 and 5 s")
def test_a_rollback_loses_no_job_and_runs_none_twice(site, send, fault):
    site.must("deploy", f"--ref={another(site)}")
    names = send(MANY)
    until(lambda: min(times(site, names[:2], "begins")))
    fault(site.inv("rollback"), status=0, serves=site.good)
    assert times(site, names[:1], "is done") == [0]
    each_once(site, names)


@pytest.mark.fault("the container of the worker is killed amid jobs")
def test_of_a_killed_worker_s_jobs_those_that_may_run_again_soon(site, send, fault):
    idle(site)
    names = send([("early", MIDDLE, 0), ("late", MIDDLE, 0), *[("early", SHORT, 0)] * 3])
    until(lambda: min(times(site, names[:2], "begins")))
    killed = time.monotonic()
    within(site, "worker", "docker kill $ID")
    fault(site.inv("jobs"), status=1, serves=site.good)
    until(lambda: times(site, names[1:2], "begins") == [2], 120, pause=1)
    assert time.monotonic() - killed < 100
    until(lambda: min(times(site, names[1:], "is done")), 60, pause=1)
    assert times(site, names, "begins") == [1, 2, 1, 1, 1]
    assert times(site, names, "is done") == [0, 1, 1, 1, 1]


@pytest.mark.fault("Redis hangs, and is killed amid jobs")
def test_a_killed_redis_loses_no_job(site, send, fault):
    idle(site)
    names = send([("early", MIDDLE, 0), ("late", MIDDLE, 0), *[("early", 0.1, 0)] * 50])
    until(lambda: min(times(site, names[:2], "begins")))
    within(site, "redis", "docker kill --signal=STOP $ID")
    hung = site.inv("jobs")
    within(site, "redis", "docker kill $ID")
    fault(hung, status=1, serves=site.good)
    until(lambda: min(times(site, names, "is done")), 200, pause=2)
    begun = times(site, names, "begins")
    # The late one could not be acknowledged, and may run twice.
    assert begun[:1] + begun[2:] == [1] * 51
    idle(site)


@pytest.mark.fault("a worker hangs")
def test_a_worker_that_hangs_is_shown(site, fault):
    idle(site)
    within(site, "worker", "docker pause $ID")
    done = site.inv("jobs")
    within(site, "worker", "docker unpause $ID || true")
    fault(done, status=1, serves=site.good)
    assert "1 of 1 workers do not answer" in done.verdict
    idle(site)
