"""Which images of a server nothing needs, and which volumes of a stack there are."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from types import SimpleNamespace

import pytest
from invoke import Config, Context

from tasks.lib.orchestrators import servers
from tasks.lib.orchestrators.status import Volume

OURS, OTHER = "registry.example.com/app", "registry.example.com/app-other"


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def line(letter: str, repository: str = OURS, tag: str = "<none>", image: str = "") -> str:
    """A line of docker's list."""
    return f"{digest(image or letter.upper())}\t{repository}\t{tag}\t{digest(letter)}\t312.5MB"


def test_only_images_of_the_repository_that_nothing_needs_are_deleted():
    shown = [
        line("a"),
        line("b"),
        line("c", OTHER),
        line("d", image="7"),
        line("d", tag="main", image="7"),
        line("e", image="8"),
        f"{digest('9')}\t{OURS}\t<none>\t<none>\t1kB",
    ]
    keep = {digest("b"), digest("8")}
    assert servers.unneeded("\n".join(shown), OURS, keep) == [f"{OURS}@{digest('a')}"]


def test_a_repository_of_docker_hub_is_known_by_its_short_name():
    assert servers.unneeded(line("a", "me/app"), "docker.io/me/app", set()) == [
        f"me/app@{digest('a')}"
    ]


@pytest.mark.parametrize(
    ("shown", "size"),
    [("0B", 0), ("12.5kB", 12500), ("312MB", 312 * 10**6), ("1.02GB", 102 * 10**7)],
)
def test_a_size_is_read(shown, size):
    assert servers.Image("", "", "", "", shown).bytes == size


VOLUMES = [
    {"Name": "shop-prod_db", "CreatedAt": "2026-11-27T10:00:00+01:00"},
    {"Name": "shop-prod_media"},
    # Docker finds a name that has the wanted one in it.
    {"Name": "my-shop-prod_db", "CreatedAt": "2026-11-27T10:00:00Z"},
]


class Answering(StreamRequestHandler):
    """Answers as an engine that is asked for its volumes."""

    def handle(self) -> None:
        path = self.rfile.readline().decode().split()[1]
        while self.rfile.readline().strip():
            pass
        found = VOLUMES if path.startswith("/volumes?filters=") else []
        body = json.dumps({"Volumes": found}).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def test_the_volumes_of_a_stack_are_known_with_what_removes_them(tmp_path: Path):
    ctx = Context(Config(overrides={"run": {"dry": False, "echo": False}}))
    path = tmp_path / "engine.sock"
    host = SimpleNamespace(name="a@1", docker=lambda: {"DOCKER_HOST": f"unix://{path}"})
    with ThreadingUnixStreamServer(str(path), Answering) as engine:
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        found = servers.volumes(ctx, [host], "shop-prod")  # type: ignore[list-item]
        engine.shutdown()
    assert found == [
        Volume("db", 1795770000, "docker volume rm shop-prod_db on a@1"),
        Volume("media", 0, "docker volume rm shop-prod_media on a@1"),
    ]
