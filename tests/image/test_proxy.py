"""The proxy in front of the app, as server.yml runs it: HTTPS by itself, which the app knows of."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.testbed.commands import ROOT, docker, until, works

pytestmark = pytest.mark.engine
# A name for which Caddy asks no authority on the internet, but its own.
HOST = "links.localhost"
ROOT_CERTIFICATE = "/data/caddy/pki/authorities/local/root.crt"
LOCKED = ["--read-only", "--tmpfs=/config", "--cap-drop=ALL", "--cap-add=NET_BIND_SERVICE"]


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs."""

    id: str

    def port(self, inside: int) -> int:
        """Where a port of its is on this machine."""
        return int(docker("port", self.id, f"{inside}/tcp").splitlines()[0].rpartition(":")[2])

    def ask(self, path: str, **headers: str) -> http.client.HTTPResponse:
        """An answer over plain HTTP."""
        server = http.client.HTTPConnection("127.0.0.1", self.port(80), timeout=10)
        server.request("GET", path, headers={"Host": HOST, **headers})
        return server.getresponse()

    def ask_safely(self, path: str) -> http.client.HTTPResponse:
        """An answer over HTTPS, from one whose certificate is that of the host's name."""
        trusted = ssl.create_default_context(
            cadata=docker("exec", self.id, "cat", ROOT_CERTIFICATE)
        )
        server = http.client.HTTPSConnection(HOST, timeout=10)
        plain = socket.create_connection(("127.0.0.1", self.port(443)), timeout=10)
        server.sock = trusted.wrap_socket(plain, server_hostname=HOST)
        server.request("GET", path)
        return server.getresponse()


@pytest.fixture
def proxy(start, redis, mark) -> Iterator[Proxy]:
    """A proxy before a web server that is behind HTTPS."""
    network = f"--network={redis}"
    web = start(options=[network, "--network-alias=app"], SITE_URL=f"https://{HOST}")
    web.execute("python", "manage.py", "migrate", "--verbosity=0")
    web.becomes("healthy")
    id = docker(
        "run", "--detach", f"--label={mark}", network, *LOCKED, "--volume=/data",
        "--publish=127.0.0.1::80", "--publish=127.0.0.1::443", f"--env=SITE_ADDRESS={HOST}",
        f"--volume={ROOT}/docker/Caddyfile:/etc/caddy/Caddyfile:ro", "caddy:2",
    )  # fmt: skip
    until(works(lambda: docker("exec", id, "ls", ROOT_CERTIFICATE)))
    yield Proxy(id)
    docker("rm", "--force", "--volumes", id)


def test_it_has_a_certificate_and_sends_everybody_to_https(proxy):
    page = until(lambda: answered(proxy))
    assert page.status == 200
    assert page.getheader("Strict-Transport-Security")
    assert "secure" in (page.getheader("Set-Cookie") or "").lower()

    plain = proxy.ask("/?a=b")
    assert (plain.status, plain.getheader("Location")) == (308, f"https://{HOST}/?a=b")
    assert proxy.ask_safely("/livez").read().startswith(b'{"status": "ok"')


def answered(proxy):
    """The page, as soon as the certificate is there."""
    try:
        return proxy.ask_safely("/")
    except ssl.SSLError:
        return None
