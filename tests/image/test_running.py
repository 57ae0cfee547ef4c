"""The released image at work: every role, read-only and without capabilities."""

from __future__ import annotations

import json
import re
from datetime import datetime
from itertools import pairwise

import pytest

from tests.image.engine import HERE, LABELS, SETTINGS
from tests.testbed.commands import docker, until

pytestmark = pytest.mark.engine
REDIS = {"REDIS_URL": "redis://redis:6379/0"}
# What beat logs of a job.
SENDS = "Sending due task"


def test_the_web_server_serves_on_a_read_only_file_system(web):
    answer, body = web.get("/livez")
    assert answer.status == 200
    assert {"status": "ok", "version": LABELS["revision"]} == json.loads(body)


def test_a_probe_may_use_any_host_name(web):
    assert web.get("/livez", host="10.0.0.7:8000")[0].status == 200


def test_static_files_are_served_for_ever(web):
    name = web.execute("sh", "-c", "ls static/myapp/site.????????????.css")
    answer, _ = web.get(f"/{name}")
    assert answer.status == 200
    assert "immutable" in answer.headers["Cache-Control"]


def test_each_answer_says_that_its_connection_closes(web):
    assert web.get("/livez")[0].headers["Connection"] == "close"


def test_the_web_server_is_sized_by_the_environment(start):
    web = start(WEB_PROCESSES="3", WEB_THREADS="2")
    started = r"spawned uWSGI worker \d \(pid: \d+, cores: 2\)"
    # The first answers before the last has started.
    until(lambda: len(re.findall(started, web.logs())) == 3)
    assert "spawned uWSGI worker 4" not in web.logs()


def test_an_app_that_cannot_start_ends_the_container_with_its_reason(start):
    web = start(SECRET_KEY="")
    until(lambda: not web.state()["Running"])
    assert web.state()["ExitCode"] != 0
    assert "SECRET_KEY is missing" in web.logs()


def test_a_worker_does_jobs_with_as_many_processes_as_the_environment_says(start, redis):
    worker = start("worker", options=[f"--network={redis}"], WORKER_CONCURRENCY="1", **REDIS)
    worker.becomes("healthy")
    answers = json.loads(worker.execute("celery", "-A", "myapp", "inspect", "stats", "--json"))
    assert [len(each["pool"]["processes"]) for each in answers.values()] == [1]
    worker.execute("celery", "-A", "myapp", "call", "myapp.tasks.flush_clicks")
    worker.prints("myapp.tasks.flush_clicks")


@pytest.mark.slow
def test_of_several_beats_one_sends_jobs_and_the_next_goes_on_where_it_stopped(start, redis):
    first, second = (often(start, redis) for _ in range(2))
    first.prints(SENDS)
    until(lambda: sent(first) > 3)
    second.execute("/app/docker/healthcheck", "beat")
    assert SENDS not in second.logs()
    first.stop()
    second.prints(SENDS, seconds=5)
    gaps = pauses(first, second)
    assert min(gaps) > 0.5 and max(gaps) < 5

    third = often(start, redis)
    docker("kill", second.id)
    third.prints(SENDS, seconds=20)
    assert min(pauses(first, second, third)) > 0.5


def often(start, redis):
    """A beat whose only job is due every second."""
    options = [f"--network={redis}", f"--volume={HERE}/often.py:/app/docker/often.py:ro"]
    command = "exec celery --app=often beat --scheduler=beat:Alone --pidfile= --loglevel=INFO"
    beat = start("sh", "-c", command, options=options, PYTHONPATH="/app/docker", **REDIS)
    beat.prints("beat: Starting")
    return beat


def sent(beat):
    """How many jobs it has sent."""
    return beat.logs().count(SENDS)


def pauses(*beats):
    """The seconds between one job that any of them has sent and the next."""
    lines = [
        line for each in beats for line in docker("logs", "--timestamps", each.id).splitlines()
    ]
    when = sorted(datetime.fromisoformat(line.split()[0]) for line in lines if SENDS in line)
    return [(after - before).total_seconds() for before, after in pairwise(when)]


def test_any_management_command_runs(image):
    env = [f"--env={name}={value}" for name, value in SETTINGS.items()]
    printed = docker("run", "--rm", *env, image, "manage", "showmigrations")
    assert "0001_link" in printed


def test_any_other_command_runs_as_it_is(image):
    assert docker("run", "--rm", image, "echo", "hello") == "hello"


def test_orphans_are_reaped(start):
    box = start("sleep", "60")
    box.execute("sh", "-c", "sleep 0.5 & exit 0")
    states = ("sh", "-c", "cat /proc/[0-9]*/stat")
    assert "(sleep) S 1 " in box.execute(*states)
    until(lambda: box.execute(*states).count("(sleep)") == 1)
    assert box.execute("cat", "/proc/1/comm") == "tini"
