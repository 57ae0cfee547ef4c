"""A proxy in front of a web server, as server.yml runs it, in the tests of the image."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.image.engine import Container
from tests.testbed.attacks import Address
from tests.testbed.commands import ROOT, docker, until, works

# A name for which Caddy asks no authority on the internet, but its own.
HOST = "links.localhost"
ROOT_CERTIFICATE = "/data/caddy/pki/authorities/local/root.crt"
LOCKED = [
    "--read-only", "--tmpfs=/config:size=16m", "--cap-drop=ALL", "--cap-add=NET_BIND_SERVICE",
    "--memory=512m", "--pids-limit=512",
]  # fmt: skip


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs, and the web server behind it."""

    id: str
    web: Container

    @property
    def address(self) -> Address:
        """Where it serves plain HTTP on this machine."""
        return Address("127.0.0.1", self.port(80))

    def port(self, inside: int) -> int:
        """Where a port of its is on this machine."""
        return int(docker("port", self.id, f"{inside}/tcp").splitlines()[0].rpartition(":")[2])

    def ask(self, path: str, **headers: str) -> http.client.HTTPResponse:
        """An answer over plain HTTP."""
        server = http.client.HTTPConnection("127.0.0.1", self.port(80), timeout=10)
        server.request("GET", path, headers={"Host": HOST, **headers})
        return server.getresponse()

    def ask_safely(self, path: str, **headers: str) -> http.client.HTTPResponse:
        """An answer over HTTPS, from one whose certificate is that of the host's name."""
        server = http.client.HTTPSConnection(HOST, timeout=20)
        server.sock = self.connect()
        server.request("GET", path, headers=headers)
        return server.getresponse()

    def connect(self, *protocols: str) -> ssl.SSLSocket:
        """A connection over TLS, to speak one of the protocols."""
        certificate = docker("exec", self.id, "cat", ROOT_CERTIFICATE)
        trusted = ssl.create_default_context(cadata=certificate)
        trusted.set_alpn_protocols(list(protocols))
        plain = socket.create_connection(("127.0.0.1", self.port(443)), timeout=20)
        return trusted.wrap_socket(plain, server_hostname=HOST)


@contextmanager
def before(web: Container, mark: str, network: str, address: str, *options: str) -> Iterator[Proxy]:
    """Run a proxy before a web server, for an address: a host's name or :80."""
    web.execute("python", "manage.py", "migrate", "--verbosity=0")
    web.becomes("healthy")
    id = docker(
        "run", "--detach", f"--label={mark}", f"--network={network}", *LOCKED, "--volume=/data",
        "--publish=127.0.0.1::80", "--publish=127.0.0.1::443", f"--env=SITE_ADDRESS={address}",
        f"--volume={ROOT}/docker/Caddyfile:/etc/caddy/Caddyfile:ro", *options, "caddy:2",
    )  # fmt: skip
    try:
        until(works(lambda: docker("exec", id, "wget", "-qO-", "http://127.0.0.1:2019/config/")))
        yield Proxy(id, web)
    finally:
        docker("rm", "--force", "--volumes", id)


@contextmanager
def static_files(mark: str, image: str) -> Iterator[str]:
    """Yield a volume with the static files of an image, as a deploy lays them."""
    volume = docker("volume", "create", f"--label={mark}")
    try:
        copy = ["--user=0:0", f"--volume={volume}:/srv/static", image, "static", "/srv/static"]
        docker("run", "--rm", *copy)
        yield volume
    finally:
        docker("volume", "rm", volume)
