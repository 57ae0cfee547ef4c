"""What each role of the image logs: lines of JSON, also of a job with the ID of its request."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from tests.testbed.commands import ROOT, free_port, until
from tests.testbed.measured import environment, served

REQUEST = "d825ef922b854f47949f9ff9b365909f"
SETTINGS = "myapp.settings.prod"
LINK = "Link.objects.create(code='known', target='https://example.com/')"
MAKE = f"import logging; from myapp.models import Link; logging.info('made %s', {LINK})"
FACTS = {"timestamp", "level", "logger", "message", "request_id", "version", "role"}


@pytest.fixture
def env(tmp_path) -> Iterator[dict[str, str]]:
    """What the app has on servers: an empty database, and a Redis server."""
    if not (program := shutil.which("redis-server")):
        pytest.skip("no program redis-server: install Debian's package of that name")
    port = str(free_port())
    words = [program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as redis:
        try:
            yield {
                "APP_CELERY": "myapp",
                "APP_MANAGE": "manage.py",
                "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
                "REDIS_URL": f"redis://127.0.0.1:{port}/0",
                "SECRET_KEY": "of-a-test-" * 6,
                "SITE_URL": "http://127.0.0.1",
                "STATIC_ROOT": str(tmp_path / "static"),
                # Tests may run as root, of which Celery warns; the image does not.
                "PYTHONWARNINGS": "ignore:You're running the worker with superuser",
            }
        finally:
            redis.kill()


@pytest.fixture
def image(tmp_path) -> Path:
    """The image's own programs, for a folder that has what is in a container's /tmp."""
    made = tmp_path / "docker"
    shutil.copytree(ROOT / "docker", made)
    for name in ("entrypoint", "beat.py", "heartbeat.py"):
        text = (made / name).read_text().replace("/tmp/", f"{tmp_path}/")
        text = text.replace("/app/docker", str(made)).replace(
            "cd /app\n", f"cd {quote(str(ROOT))}\n"
        )
        (made / name).write_text(text)
    return made


@contextmanager
def running(image: Path, env: dict[str, str], role: str, *words: str) -> Iterator[Any]:
    """Run a role with the image's entrypoint; what it prints is in the file ROLE.log."""
    folder = image.parent
    with (folder / f"{role}.log").open("w") as log:
        process = subprocess.Popen(
            [image / "entrypoint", role, *words], start_new_session=True,
            env=environment(folder, SETTINGS, **env), stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def manage(image: Path, env: dict[str, str], *words: str) -> None:
    """Run a management command that succeeds."""
    with running(image, env, "manage", *words, "--verbosity=0") as process:
        assert process.wait(60) == 0, (image.parent / "manage.log").read_text()


def lines(folder: Path, role: str) -> list[dict[str, Any]]:
    """What a role has logged. Raises ValueError if a line is no JSON."""
    return [json.loads(line) for line in (folder / f"{role}.log").read_text().splitlines()]


def test_each_line_says_when_and_who_and_a_jobs_of_which_request_it_is(tmp_path, image, env):
    began = time.time()
    manage(image, env, "migrate")
    manage(image, env, "collectstatic")
    manage(image, env, "shell", "--command", MAKE)
    with (
        served(tmp_path, metrics=False, settings=SETTINGS, **env) as site,
        running(image, env, "worker"),
        running(image, env, "beat"),
    ):
        status, _ = site.get("/known", Host="127.0.0.1", **{"X-Request-ID": REQUEST})
        assert status == 302
        job = "Clicks of 1 links written"
        until(lambda: job in (tmp_path / "worker.log").read_text(), 90)
        until(lambda: "jobs are due" in (tmp_path / "beat.log").read_text(), 90)
    found = {role: lines(tmp_path, role) for role in ("manage", "worker", "beat")}
    # uWSGI itself says when it starts, in lines of its own.
    text = (tmp_path / "log").read_text()
    found["web"] = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    for role, mine in found.items():
        assert mine, role
        for line in mine:
            assert line.keys() >= FACTS, line
            assert (line["role"], line["version"]) == (role, "abc")
            assert line["level"] in {"INFO", "WARNING"}, line
            assert began < datetime.fromisoformat(line["timestamp"]).timestamp() < time.time()
    (asked,) = (line for line in found["web"] if line.get("path") == "/known")
    (done,) = (line for line in found["worker"] if line["logger"] == "myapp.tasks")
    assert done["message"] == job
    assert asked["request_id"] == done["request_id"] == REQUEST
    (made,) = found["manage"]
    assert made["message"].startswith("made ")
