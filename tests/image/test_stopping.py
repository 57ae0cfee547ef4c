"""`docker stop`: what was begun is finished, nothing new is taken, and it is quick."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.image.engine import HERE
from tests.testbed.commands import until

pytestmark = pytest.mark.engine
SLOW_WEB = [f"--volume={HERE}/slow_web.py:/app/slow_web.py:ro"]
SLOW_JOB = [f"--volume={HERE}/slow_job.py:/app/docker/slow_job.py:ro"]
REDIS = {"REDIS_URL": "redis://redis:6379/0"}


def slow_web(start, **env):
    """A web server whose requests take the seconds in the query."""
    web = start("web", "--module=slow_web:application", options=SLOW_WEB, **env)
    web.serves()
    return web


def begun(web, requests):
    """Wait until the app works at so many requests."""
    until(lambda: web.logs().count("the request begins") == requests)


def test_a_request_in_flight_is_answered(start):
    web = slow_web(start)
    with ThreadPoolExecutor() as pool:
        request = pool.submit(web.get, "/?2")
        begun(web, 1)
        assert web.stop() < 5
        answer, body = request.result()
    assert (answer.status, body) == (200, b"done")
    assert web.state()["ExitCode"] == 0


def test_requests_in_flight_on_every_thread_are_answered(start):
    web = slow_web(start, WEB_PROCESSES="2", WEB_THREADS="2")
    with ThreadPoolExecutor() as pool:
        requests = [pool.submit(web.get, "/?2") for _ in range(4)]
        begun(web, 4)
        assert web.stop() < 5
    assert [request.exception() for request in requests] == [None] * 4, web.logs()
    assert [request.result()[1] for request in requests] == [b"done"] * 4


def test_a_new_request_is_refused_at_once_while_an_old_one_is_finished(start):
    web = slow_web(start, WEB_PROCESSES="1", WEB_THREADS="2")
    ask = "import socket; socket.create_connection(('127.0.0.1', 8000), 1)"
    with ThreadPoolExecutor() as pool:
        request = pool.submit(web.get, "/?3")
        begun(web, 1)
        stopping = pool.submit(web.stop)
        web.prints("shutting down all sockets")
        with pytest.raises(RuntimeError, match="ConnectionRefusedError"):
            web.execute("python", "-c", ask)
        assert not request.done()
        assert request.result()[1] == b"done"
        stopping.result()


def test_it_goes_on_serving_as_long_as_it_was_told_to_drain(start):
    web = slow_web(start, WEB_DRAIN="2")
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(web.stop)
        answers = [web.get("/?0.1")[1] for _ in range(10)]
        assert not stopping.done()
        assert stopping.result() < 5
    assert answers == [b"done"] * 10


def test_a_body_that_stalls_is_waited_for(start):
    web = slow_web(start)
    head = b"POST /?0 HTTP/1.1\r\nHost: links.example.com\r\nContent-Length: 2\r\n\r\n"
    with socket.create_connection(web.address(), timeout=10) as connection:
        connection.sendall(head + b"a")
        # Longer than uWSGI waits by itself.
        time.sleep(6)
        connection.sendall(b"b")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_an_idle_web_server_stops_at_once(start):
    web = slow_web(start)
    assert web.stop() < 2


def test_a_worker_finishes_its_job(start, redis):
    options = [f"--network={redis}", *SLOW_JOB]
    worker = start("worker", "--include=worker,slow_job", options=options, **REDIS)
    worker.becomes("healthy")
    worker.execute("celery", "-A", "myapp", "call", "slow_job.early", '--args=["the job"]')
    worker.prints("the job begins")
    assert worker.stop() < 8
    assert "the job is done" in worker.logs()
    assert worker.state()["ExitCode"] == 0


def test_beat_stops_at_once(start, redis):
    beat = start("beat", options=[f"--network={redis}"], **REDIS)
    beat.becomes("healthy")
    assert beat.stop() < 3
    assert beat.state()["ExitCode"] == 0
