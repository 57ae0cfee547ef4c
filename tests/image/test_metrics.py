"""The images serve metrics if they are told to, at a port of their own that nothing publishes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest

from tasks.lib.project import contract
from tests.image.engine import HERE, Container
from tests.image.proxies import HOST, ROOT_CERTIFICATE, before
from tests.testbed import prometheus
from tests.testbed.commands import docker, until, works
from tests.testbed.databases import World

pytestmark = pytest.mark.engine
METRICS = {"METRICS": str(contract.METRICS)}
REDIS = {"REDIS_URL": "redis://redis:6379/0", **METRICS}
ASK = (
    "import urllib.request as r; "
    f"print(r.urlopen('http://127.0.0.1:{contract.METRICS}', timeout=5).read().decode())"
)
# Sends a job from a program that marks none, and makes it the next one.
UNMARKED = """
import os, redis
from myapp.celery import app
app.send_task("myapp.tasks.flush_clicks")
client = redis.from_url(os.environ["REDIS_URL"])
(job,) = (each for each in client.lrange("celery", 0, -1) if b"sent_at" not in each)
client.lrem("celery", 1, job)
client.rpush("celery", job)
"""
# The labels of what a proxy has counted.
METHOD = r'method="(\w+)",server="srv0"} (\S+)'
Start = Callable[..., Container]


def series(container: Container, name: str = "app_") -> dict[str, float]:
    """All that a container measures, by name and labels."""
    try:
        text = container.execute("python", "-c", ASK)
    except RuntimeError:
        return {}
    found = re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.M)
    return {key: float(value) for key, value in found if key.startswith(name)}


def mounted(*modules: str) -> list[str]:
    return [f"--volume={HERE}/{name}.py:/app/docker/{name}.py:ro" for name in modules]


def test_the_web_server_says_what_it_does(start: Start):
    web = start(**METRICS)
    web.serves()
    web.get("/no/where")
    web.get("/livez")
    found = until(lambda: series(web))
    release = web.execute("printenv", "VERSION")
    assert found[f'app_info{{release="{release}",role="web"}}'] == 1
    unknown = f'{{method="GET",release="{release}",status="404",view="(unknown)"}}'
    assert found[f"app_requests_total{unknown}"] == 1
    assert found["app_server_threads"] == 8 and found["app_server_queue"] == 0
    assert found["app_requests_in_progress"] == 0
    assert found["app_memory_bytes"] > 0
    assert "app_memory_kills_total" in found
    published = json.loads(docker("inspect", "--format={{json .NetworkSettings.Ports}}", web.id))
    assert f"{contract.METRICS}/tcp" not in published
    assert web.stop() < 10


def test_without_the_setting_no_port_is_open_and_no_process_more_runs(web: Container):
    assert series(web) == {}
    listening = web.execute("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6")
    assert f":{contract.METRICS:04X} " not in listening
    assert "appmetrics" not in web.execute("sh", "-c", "cat /proc/[0-9]*/cmdline")


def counted(proxy: str) -> dict[str, float]:
    """How many answers a proxy has counted, by status and method."""
    asked = ("exec", proxy, "wget", "-qO-", f"http://127.0.0.1:{contract.METRICS}/metrics")
    name = f'caddy_http_request_duration_seconds_count{{code="([^"]*)",handler="subroute",{METHOD}'
    return {f"{code} {method}": float(n) for code, method, n in re.findall(name, docker(*asked))}


@pytest.mark.parametrize("address", [":80", HOST])
def test_the_proxy_counts_each_request_once_also_what_it_answers_itself(
    start: Start, redis: str, mark: str, address: str
):
    site = f"http{'' if address == ':80' else 's'}://{HOST}"
    web = start(options=[f"--network={redis}", "--network-alias=app"], SITE_URL=site)
    given = [f"--env={key}={value}" for key, value in METRICS.items()]
    given += ["--env=PROXY_METRICS=metrics", "--tmpfs=/srv/static"]
    with before(web, mark, redis, address, *given) as proxy:
        ask = proxy.ask if address == ":80" else proxy.ask_safely
        if address == HOST:
            until(works(lambda: docker("exec", proxy.id, "ls", ROOT_CERTIFICATE)))
        until(works(lambda: ask("/livez")))
        known = counted(proxy.id)
        for number in range(20):
            ask(f"/no/where/{number}").read()
        docker("exec", proxy.id, "touch", "/srv/static/.closed")
        assert ask("/livez").status == 503
        found = {key: n - known.get(key, 0) for key, n in counted(proxy.id).items()}
        wanted = {"404 GET": 20, "503 GET": 1}
        assert {key: n for key, n in found.items() if n} == wanted
        # Its port is for the network alone: it passes nothing on to it, and publishes none.
        assert "caddy_" not in ask("/metrics").read().decode()
        assert f"{contract.METRICS}/tcp" not in docker("port", proxy.id)


def test_without_the_setting_no_port_of_the_proxy_is_open(start: Start, redis: str, mark: str):
    web = start(options=[f"--network={redis}", "--network-alias=app"])
    with before(web, mark, redis, ":80", "--env=METRICS=", "--env=PROXY_METRICS=") as proxy:
        listening = docker("exec", proxy.id, "cat", "/proc/net/tcp", "/proc/net/tcp6")
        assert ":0050 " in listening and f":{contract.METRICS:04X} " not in listening


def test_a_worker_says_how_its_jobs_end_and_what_waits(start: Start, redis: str):
    options = [f"--network={redis}", *mounted("slow_job")]
    worker = start("worker", "--include=worker,slow_job", options=options, **REDIS)
    worker.becomes("healthy")
    code = "from myapp.celery import app; app.send_task({!r}, args=['a job'])"
    for name in ("early", "early_killed"):
        worker.execute("python", "-c", code.format(f"slow_job.{name}"))
    total = 'app_jobs_total{{name="slow_job.{}",outcome="{}"'

    def count(name: str, outcome: str) -> float:
        wanted = total.format(name, outcome)
        return sum(n for key, n in series(worker).items() if key.startswith(wanted))

    until(lambda: count("early", "success") == 1)
    # A failure is counted from 0 on, before there is one.
    assert [key for key in series(worker) if key.startswith(total.format("early", "failure"))]
    until(lambda: count("early_killed", "failure") == 1)
    found = until(lambda: (now := series(worker)).get("app_broker_up") and now)
    assert found['app_queue_jobs{queue="celery"}'] == 0
    assert found['app_queue_oldest_seconds{queue="celery"}'] == 0
    assert found["app_jobs_in_progress"] == 0
    assert "app_beat_up" not in found
    assert any(key.startswith("app_job_seconds_count") for key in found)


def test_without_a_worker_beat_says_how_old_the_oldest_job_is(start: Start, redis: str):
    options = [f"--network={redis}", *mounted("often")]
    beat = start("beat", options=options, APP_CELERY="often", **REDIS)
    age = 'app_queue_oldest_seconds{queue="celery"}'
    found = until(lambda: (now := series(beat)).get(age, 0) > 15 and now, 60)
    assert found['app_queue_jobs{queue="celery"}'] > 3
    assert found["app_beat_up"] == 1


def test_a_job_that_does_not_say_when_it_was_sent_waits_since_it_was_seen(start: Start, redis: str):
    options = [f"--network={redis}", *mounted("often")]
    beat = start("beat", options=options, APP_CELERY="often", **REDIS)
    age, depth = (f'app_queue_{each}{{queue="celery"}}' for each in ("oldest_seconds", "jobs"))
    until(lambda: series(beat).get(depth), 60)
    # Another program sends it, and it is the next one.
    beat.execute("python", "-c", UNMARKED)
    began = time.monotonic()
    until(lambda: 12 < series(beat).get(age, 0) <= time.monotonic() - began, 60)


@pytest.mark.slow
def test_backups_and_drills_that_fail_raise_alerts_until_one_goes_well(world: World):
    prometheus.required()
    gone = {"RCLONE_S3_ENDPOINT": "http://s3:9"}
    world.options = [f"--publish=127.0.0.1::{contract.METRICS}"]
    service = world.begin("schedule", "86400", "{}", name="backup", **METRICS, **gone)
    world.options = ()
    published = ("port", f"{world.mark}-backup", str(contract.METRICS))
    try:
        until(works(lambda: docker(*published)), 60)
        port = int(docker(*published).rpartition(":")[2])
        with prometheus.measuring(world.folder, backup=port) as one:
            until(lambda: one.ask("backup_failure_timestamp_seconds > 0"), 60)
            assert one.ask("backup_success_timestamp_seconds == 0")
            until(lambda: one.firing() == {"BackupOld", "DrillOld"}, 60)
            first = world.backup()
            until(lambda: one.firing() == {"DrillOld"}, 60)
            # What fails afterwards takes nothing back.
            good = one.ask("backup_success_timestamp_seconds")[0]["value"][1]
            assert "connection refused" in world.fails("make", **gone)
            newer = "backup_failure_timestamp_seconds > backup_success_timestamp_seconds"
            until(lambda: one.ask(newer))
            assert one.ask(f"backup_success_timestamp_seconds == {good}")

            key = world.key(first)
            world.shell(f"truncate -s 5000 /backups/{first}/database.dump.age")
            assert "is damaged" in world.fails("drill", first, key=key)
            until(lambda: one.firing() == {"DrillFailed", "DrillOld"}, 60)
            second = world.backup()
            world.do("drill", second, key=world.key(second))
            until(lambda: one.firing() == set(), 60)
    finally:
        docker("stop", f"{world.mark}-backup")
        service.communicate(timeout=60)
