"""Recipes whose point is in the image: it is built, and run as a server runs it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.image.conftest import starter
from tests.image.engine import Container
from tests.image.proxies import Proxy, before
from tests.testbed.commands import docker

from .test_recipes import done_to, project, settings, shop  # noqa: F401

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def mark() -> Iterator[str]:
    """A name for all that a test makes, with a network of that name."""
    name = f"recipe-test-{uuid.uuid4().hex[:8]}"
    docker("network", "create", f"--label={name}", name)
    yield name
    for kind in ("network", "volume"):
        if left := docker(kind, "ls", "--quiet", f"--filter=label={name}").split():
            docker(kind, "rm", *left)


@contextmanager
def built(root: Path, mark: str, *options: str) -> Iterator[str]:
    """Yield the released image of a project."""
    tag = f"{mark}:image"
    arguments = [f"--build-arg={k}={v}" for k, v in settings(root).app.variables().items()]
    docker("build", "--quiet", f"--tag={tag}", *arguments, *options, root)
    try:
        yield tag
    finally:
        docker("image", "rm", "--force", tag)


@pytest.fixture
def site(project: Path, mark: str) -> Callable[..., Iterator[Proxy]]:  # noqa: F811
    """Runs the project, changed as a page says, behind the proxy."""

    @contextmanager
    def run(page: str, *volumes: str) -> Iterator[Proxy]:
        done_to(project, page)
        with built(project, mark) as image, started(mark, image, *volumes) as web:
            mounts = [f"--volume={volume.split(':')[0]}:/srv/media:ro" for volume in volumes]
            with before(web, mark, mark, ":80", *mounts) as proxy:
                yield proxy

    return run


@contextmanager
def started(mark: str, image: str, *volumes: str) -> Iterator[Container]:
    """Run the web server as `app` in the network."""
    mounts = [f"--volume={volume}" for volume in volumes]
    for start in starter(mark, image):
        options = [f"--network={mark}", "--network-alias=app", *mounts]
        web = start(options=options, SITE_URL="http://links.localhost")
        web.serves()
        yield web


def test_what_the_app_stores_is_served_by_the_proxy(site, mark):
    volume = docker("volume", "create", f"--label={mark}")
    with site("media", f"{volume}:/app/media") as proxy:
        store = "from django.core.files.storage import default_storage as s; import io; "
        store += "print(s.save('a/note.html', io.BytesIO(b'<b>Hello</b>')))"
        proxy.web.execute("/app/docker/entrypoint", "manage", "shell", "--command", store)
        answer = proxy.ask("/media/a/note.html")
        assert (answer.status, answer.read()) == (200, b"<b>Hello</b>")
        assert "sandbox" in (answer.getheader("Content-Security-Policy") or "")
        assert answer.getheader("Server") is None
        assert proxy.ask("/media/").status == 404
        assert proxy.ask("/media/../static/no").status == 404
        assert proxy.web.execute("sh", "-c", "touch /app/x; true").endswith("Read-only file system")
