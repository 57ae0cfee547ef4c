"""The health check: strict until the first success, then patient with what is not its own fault."""

from __future__ import annotations

import pytest

from tests.testbed.commands import docker

pytestmark = pytest.mark.engine
REDIS = {"REDIS_URL": "redis://redis:6379/0"}
CHECK = "/app/docker/healthcheck"


def migrated(start, *command, **env):
    """A web server with a database."""
    web = start(*command, **env)
    web.execute("python", "manage.py", "migrate", "--verbosity=0")
    return web


def test_a_web_server_is_healthy_once_all_that_it_needs_is_there(start):
    web = start()
    web.serves()
    with pytest.raises(RuntimeError, match=r"/readyz: HTTP/1.\d 503"):
        web.execute(CHECK)
    web.execute("python", "manage.py", "migrate", "--verbosity=0")
    web.becomes("healthy")


def test_without_probes_the_page_says_whether_a_web_server_is_healthy(start):
    web = start(APP_LIVE="", APP_READY="", SITE_URL="https://links.example.com")
    web.serves()
    with pytest.raises(RuntimeError, match=r":8000/: HTTP/1.\d 500"):
        web.execute(CHECK)
    web.execute("python", "manage.py", "migrate", "--verbosity=0")
    web.becomes("healthy")


def test_a_web_server_stays_healthy_when_its_database_goes_away(start):
    web = migrated(start)
    web.becomes("healthy")
    web.execute("rm", "/tmp/db.sqlite3")
    assert web.get("/readyz")[0].status == 503
    web.execute(CHECK)


def test_where_another_asks_whether_it_is_ready_the_check_asks_for_the_heartbeat_alone(start):
    web = start()
    web.serves()
    # Its database has no tables, which whoever asks for /readyz sees.
    web.execute(CHECK, "live")
    freeze(web)
    web.execute("touch", "-d", "1 hour ago", "/tmp/heartbeat")
    with pytest.raises(RuntimeError, match="no heartbeat"):
        web.execute(CHECK, "live")


def test_a_web_server_that_does_not_answer_becomes_unhealthy(start):
    web = migrated(start)
    web.becomes("healthy")
    freeze(web)
    web.becomes("unhealthy")


def test_a_worker_without_a_broker_does_not_become_healthy(start, redis):
    worker = start("worker", options=[f"--network={redis}"], REDIS_URL="redis://redis:6380/0")
    worker.prints("Cannot connect to redis")
    with pytest.raises(RuntimeError, match="unhealthy"):
        worker.execute(CHECK)


def test_a_worker_whose_heart_stands_still_is_unhealthy(start, redis):
    worker = start("worker", options=[f"--network={redis}"], **REDIS)
    worker.becomes("healthy")
    stop_heart(worker)
    with pytest.raises(RuntimeError, match="no heartbeat"):
        worker.execute(CHECK)


def test_a_worker_is_not_blamed_for_a_broker_that_is_away(start, redis):
    worker = start("worker", options=[f"--network={redis}"], **REDIS)
    worker.becomes("healthy")
    stop_heart(worker)
    docker("network", "disconnect", redis, worker.id)
    worker.execute(CHECK)


def test_beat_that_stands_still_is_unhealthy(start, redis):
    beat = start("beat", options=[f"--network={redis}"], **REDIS)
    beat.becomes("healthy")
    stop_heart(beat)
    with pytest.raises(RuntimeError, match="no heartbeat"):
        beat.execute(CHECK)


def test_a_long_command_is_not_ended_for_its_health(start):
    start("sh", "-c", "sleep 60").becomes("healthy")


def test_the_check_is_cheap(start):
    web = migrated(start)
    web.becomes("healthy")
    line = f"for i in 1 2 3 4 5 6 7 8 9 10; do {CHECK}; done; times"
    user, system = web.execute("sh", "-c", line).splitlines()[1].split()
    spent = [float(each.rstrip("s").split("m")[1]) for each in (user, system)]
    assert sum(spent) / 10 < 0.1


def stop_heart(container):
    """Freeze a container, and let its last heartbeat be long ago."""
    freeze(container)
    container.execute("touch", "-d", "1 hour ago", "/tmp/heartbeat")


def freeze(container):
    """Stop all processes but the first one, without ending them."""
    container.execute(
        "python",
        "-c",
        "import os, signal, pathlib\n"
        "for each in pathlib.Path('/proc').glob('[0-9]*'):\n"
        "    if int(each.name) not in (1, os.getpid()): os.kill(int(each.name), signal.SIGSTOP)",
    )
