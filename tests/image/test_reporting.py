"""The image tells Sentry of errors if it is told to, and Docker sends its logs elsewhere."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import pytest
from invoke import Context

from tasks.lib.deploys import reporting
from tasks.lib.project import contract, requirements
from tasks.lib.project.settings import Monitoring
from tests.image.engine import LABELS, Container
from tests.testbed import reported
from tests.testbed.commands import docker, free_port, until
from tests.testbed.project import SETTINGS

pytestmark = pytest.mark.engine
Start = Callable[..., Container]
# Pure Python, so those of this machine do for the image.
LIBRARIES = ("sentry_sdk", "urllib3", "certifi")
# Sentry, in the container itself: it writes down what it gets.
RECEIVER = """
import gzip
from http.server import BaseHTTPRequestHandler, HTTPServer
import brotli
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        unpack = brotli.decompress if self.headers["Content-Encoding"] == "br" else gzip.decompress
        with open("/tmp/got", "ab") as file:
            file.write(unpack(body))
        self.send_response(200)
        self.end_headers()
HTTPServer(("127.0.0.1", 9999), Handler).serve_forever()
"""


def libraries() -> list[str]:
    """Return the options by which a container has the libraries."""
    requirements.make(Context(), reported.FOLDER, "app", "reporting")
    (packages,) = reported.FOLDER.glob(requirements.PACKAGES)
    there = f"/opt/venv/lib/python{SETTINGS.app.python}/site-packages"
    return [f"--volume={packages}/{name}:{there}/{name}:ro" for name in LIBRARIES]


def test_the_web_server_tells_of_an_error(start: Start):
    dsn = {"SENTRY_DSN": "http://public@127.0.0.1:9999/7", "SENTRY_ENVIRONMENT": "prod"}
    web = start(options=libraries(), ERRORS="1", **dsn)
    web.serves()
    docker("exec", "--detach", web.id, "python", "-c", RECEIVER)

    def told() -> str:
        # Nothing has migrated its database.
        assert web.get("/?token=canary")[0].status == 500
        got = web.execute("sh", "-c", "cat /tmp/got 2>/dev/null || true")
        return got if "OperationalError" in got else ""

    got = until(told, pause=0.5)
    assert LABELS["revision"] in got and '"prod"' in got and "canary" not in got
    assert "canary" not in web.logs() and "uWSGI in preforking mode" not in web.logs()
    assert web.stop() < 10


def test_without_the_setting_it_needs_no_library(web: Container):
    assert "appmetrics" not in web.execute("sh", "-c", "cat /proc/[0-9]*/environ | tr '\\0' ' '")


@dataclass
class Lines:
    """What a server of logs got, and its port."""

    port: int
    text: str = ""


@contextmanager
def listening(scheme: str) -> Iterator[Lines]:
    """Run a server of logs: syslog by UDP, or Fluentd's protocol, which has lines as they are."""
    kind = socket.SOCK_DGRAM if scheme == "syslog" else socket.SOCK_STREAM
    with socket.socket(type=kind) as server:
        server.bind(("127.0.0.1", 0))
        found = Lines(server.getsockname()[1])

        def read(source: socket.socket) -> None:
            try:
                while part := source.recv(65535):
                    found.text += part.decode(errors="replace")
            except OSError:
                pass

        def accept() -> None:
            try:
                while True:
                    threading.Thread(target=read, args=(server.accept()[0],), daemon=True).start()
            except OSError:
                pass

        if scheme != "syslog":
            server.listen()
        target, given = (read, (server,)) if scheme == "syslog" else (accept, ())
        threading.Thread(target=target, args=given, daemon=True).start()
        yield found


def driver(scheme: str, port: int) -> list[str]:
    """Return the options by which Docker sends a container's logs there, as a stack has them."""
    logs = msgspec.convert({"logs": f"{scheme}://127.0.0.1:{port}"}, Monitoring)
    settings = msgspec.structs.replace(SETTINGS, monitoring=logs)
    made = reporting.shipped({"services": {contract.APP: {}}}, settings)
    logging = made["services"][contract.APP]["logging"]
    options = [f"--log-opt={key}={value}" for key, value in logging["options"].items()]
    return [f"--log-driver={logging['driver']}", *options]


@pytest.mark.parametrize("scheme", ["syslog", "fluent"])
def test_logs_go_out_and_docker_still_has_them(start: Start, scheme: str):
    with listening(scheme) as server:
        web = start(options=driver(scheme, server.port))
        web.serves()
        web.get("/no/where?token=canary")
        until(lambda: '"path": "/no/where"' in server.text)
        assert "canary" not in server.text
        web.prints('"path": "/no/where"')
        assert web.stop() < 10


@pytest.mark.parametrize("scheme", ["syslog", "fluent"])
def test_a_server_of_logs_that_is_away_keeps_nothing_from_starting_or_stopping(
    start: Start, scheme: str
):
    web = start(options=driver(scheme, free_port()))
    web.serves()
    began = time.monotonic()
    for _ in range(300):
        web.get("/no/where")
    assert time.monotonic() - began < 30
    web.prints('"path": "/no/where"')
    assert web.stop() < 15
