"""Registries in containers of this machine, and a client that asks one."""

from __future__ import annotations

import re
import socket
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tasks.lib.images import promotion
from tasks.lib.registry.client import Registry
from tasks.lib.registry.credentials import Login
from tasks.lib.registry.reference import Reference
from tasks.lib.registry.session import MANIFESTS, Session
from tests.testbed.commands import docker, free_port, until

# The header by which a manifest of an image is asked for.
ACCEPT = f"Accept: {', '.join(MANIFESTS)}"
# A line of a registry's log about a blob: the digest of one that is fetched, or an upload.
ASKED = re.compile(r'"(GET|PATCH) /v2/\S+/blobs/(sha256:\w+|uploads/)')


def client(image: str, user: str = "", password: str = "") -> Registry:
    """Return an image's place in its registry, to be asked by a test itself."""
    name = Reference.parse(image)
    login = Login(name.host, user, password, "a test") if user else None
    return Registry(name, Session(name.host, login))


def mark_tested(registry: Registry, name: str) -> None:
    """Mark the image of a tag as tested, as `test --image` would."""
    promotion.mark_tested(registry, registry.digest(name))


@dataclass
class Server:
    """A registry in a container, at a port of this machine that stays its own."""

    container: str
    port: int
    scheme: str = "http"
    ca: str = ""

    @property
    def host(self) -> str:
        """Its address, as an image's name has it."""
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Stop it; its images stay."""
        docker("stop", "--time", "0", self.container)

    def start(self) -> None:
        """Start it again."""
        docker("start", self.container)
        until(self.answers)

    def answers(self) -> bool:
        """Whether it answers."""
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
        if self.scheme == "https":
            return True
        try:
            urllib.request.urlopen(f"http://{self.host}/", timeout=2).close()
        except OSError:
            return False
        return True

    def received(self) -> int:
        """Return how many bytes have come in over its network until now."""
        counted = re.search(r"eth0: *(\d+)", docker("exec", self.container, "cat", "/proc/net/dev"))
        assert counted
        return int(counted[1])

    def blobs(self) -> list[tuple[str, str]]:
        """Return what was asked about blobs until now: method and digest."""
        return ASKED.findall(docker("logs", self.container, both=True))


@contextmanager
def serve(*options: str, name: str = "", scheme: str = "http") -> Iterator[Server]:
    """Run a registry, and remove it at the end.

    Args:
        options: more of `docker run`.
        name: of its container.
        scheme: what it speaks.
    """
    server = Server(name or f"test-registry-{uuid.uuid4().hex[:8]}", free_port(), scheme)
    try:
        docker(
            "run", "--detach", "--name", server.container, "--publish", f"{server.host}:5000",
            "--env", "REGISTRY_STORAGE_DELETE_ENABLED=true", *options, "registry:2",
        )  # fmt: skip
        until(server.answers)
        yield server
    finally:
        docker("rm", "--force", "--volumes", server.container)
