"""The image serves an ASGI application with uvicorn, and drains it before it stops."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.image.conftest import starter
from tests.testbed.commands import docker

pytestmark = pytest.mark.engine
APPLICATION = '''"""A slow ASGI application."""
import asyncio


async def application(scope, receive, send):
    """Answer a request half a second later."""
    if scope["type"] != "http":
        return
    await asyncio.sleep(0.5)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})
'''
DOCKERFILE = """FROM {image}
USER root
RUN pip --python /opt/venv/bin/python install --quiet uvicorn
COPY asgi.py /app/
USER 10001:10001
ENV APP_SERVER=uvicorn APP_APPLICATION=asgi:application
"""


@pytest.fixture
def asgi(mark: str, image: str, tmp_path: Path):
    """A web server with an ASGI application."""
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.format(image=image))
    (tmp_path / "asgi.py").write_text(APPLICATION)
    tag = f"{mark}:asgi"
    docker("build", "--quiet", f"--tag={tag}", tmp_path)
    for start in starter(mark, tag):
        yield start(WEB_DRAIN="1")
    docker("image", "rm", "--force", tag)


def test_an_asgi_application_is_served_and_drained(asgi):
    asgi.serves()
    asgi.becomes("healthy")
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(asgi.stop)
        answers = [asgi.get("/")[1] for _ in range(2)]
        assert stopping.result() < 10
    assert answers == [b"done"] * 2
    assert asgi.state()["ExitCode"] == 0
