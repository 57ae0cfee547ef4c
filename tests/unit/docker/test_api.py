"""An engine's HTTP API: connections are kept, errors name who, --dry changes nothing."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer

import pytest
from invoke import Config, Context

from tasks.lib.docker import api
from tasks.lib.docker.cli import DockerError


def context(**run: bool) -> Context:
    return Context(Config(overrides={"run": {"dry": False, "echo": False, **run}}))


def test_an_engine_that_does_not_answer_is_an_error(tmp_path):
    env = {"DOCKER_HOST": f"unix://{tmp_path / 'none.sock'}"}
    with pytest.raises(DockerError, match="the engine does not answer"):
        api.call(context(), env, "/secrets")


def test_a_change_is_only_printed_under_dry(tmp_path, capfd):
    env = {"DOCKER_HOST": f"unix://{tmp_path / 'none.sock'}"}
    assert api.call(context(dry=True), env, "/secrets/x/update", {"Name": "x"}) is None
    assert "docker api POST /secrets/x/update" in capfd.readouterr().err


class Engine(StreamRequestHandler):
    """Answers as an engine does, and keeps the connection open; `/last` closes it afterwards."""

    def handle(self) -> None:
        self.server.connections += 1  # type: ignore[attr-defined]
        while line := self.rfile.readline():
            method, path, _ = line.decode().split()
            length = 0
            while (header := self.rfile.readline().strip().lower()) != b"":
                if header.startswith(b"content-length:"):
                    length = int(header.partition(b":")[2])
            self.rfile.read(length)
            body = json.dumps([method, path]).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            if path == "/last":
                return


class Server(ThreadingUnixStreamServer):
    """As many may be about to connect as to an engine."""

    request_queue_size = 64


@pytest.fixture
def engine(tmp_path):
    """A small engine, and the variables that lead to it."""
    address = str(tmp_path / "engine.sock")
    with Server(address, Engine) as server:
        server.daemon_threads, server.connections = True, 0
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server, {"DOCKER_HOST": f"unix://{address}"}
        server.shutdown()


def test_one_connection_serves_one_question_after_another(engine):
    server, env = engine
    for number in range(3):
        assert api.call(context(), env, f"/{number}") == ["GET", f"/{number}"]
    assert server.connections == 1


def test_many_ask_at_the_same_time_and_each_gets_its_own_answer(engine):
    server, env = engine
    paths = [f"/{number}" for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda path: api.call(context(), env, path), paths))
    assert found == [["GET", path] for path in paths]
    assert server.connections <= 8


def test_a_connection_that_was_closed_meanwhile_is_replaced(engine):
    server, env = engine
    assert api.call(context(), env, "/last") == ["GET", "/last"]
    assert api.call(context(), env, "/next") == ["GET", "/next"]
    assert server.connections == 2


def test_a_change_is_sent_once_and_so_over_a_connection_of_its_own(engine):
    server, env = engine
    api.call(context(), env, "/first")
    assert api.call(context(), env, "/change", {"a": 1}) == ["POST", "/change"]
    assert server.connections == 2


def test_the_connections_to_an_engine_that_is_gone_are_closed(engine, tmp_path):
    _, env = engine
    api.call(context(), env, "/first")
    (address,) = [each for each in api._idle if str(tmp_path) in each]
    (kept,) = api._idle[address]
    Path(address).unlink()
    with pytest.raises(DockerError):
        api.call(context(), env, "/next")
    assert kept.sock is None and not api._idle[address]


@pytest.mark.engine
def test_a_real_engine_answers_and_says_why_it_refuses():
    assert "ApiVersion" in api.call(context(), {}, "/version")
    with pytest.raises(DockerError, match=r"(?i)no such container"):
        api.call(context(), {}, "/containers/no-such-one/json")
