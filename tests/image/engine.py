"""The image in the tests: what it is built and run with, and a container to ask things."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from tests.testbed.commands import docker, until

HERE = Path(__file__).resolve().parent
# What the image is built with, and the settings it is run with.
LABELS = {
    "source": "https://git.example.com/links",
    "revision": "0123456789abcdef0123456789abcdef01234567",
    "version": "v1.2.3",
    "created": "2025-01-02T03:04:05Z",
}
SETTINGS = {
    "SECRET_KEY": "a-key-of-this-test-run-that-must-not-be-in-the-image-0123456789",
    "SITE_URL": "http://links.example.com",
    "DATABASE_URL": "sqlite:////tmp/db.sqlite3",
}


@dataclass(frozen=True)
class Container:
    """A running container."""

    id: str

    def execute(self, *words: str) -> str:
        """What a command in it prints."""
        return docker("exec", self.id, *words, both=True)

    def logs(self) -> str:
        """All that it printed."""
        return docker("logs", self.id, both=True)

    def state(self) -> dict[str, Any]:
        """What the engine knows of it."""
        return dict(json.loads(docker("inspect", "--format={{json .State}}", self.id)))

    def becomes(self, health: str, seconds: float = 30) -> None:
        """Wait for a state of health; raises with the log when it does not come."""
        try:
            until(lambda: self.state()["Health"]["Status"] == health, seconds)
        except TimeoutError:
            raise AssertionError(f"not {health}: {self.state()} {self.logs()}") from None

    def address(self) -> tuple[str, int]:
        """Where its port 8000 is reached."""
        host, port = docker("port", self.id, "8000").rsplit(":", 1)
        return host, int(port)

    def get(self, path: str, host: str = "links.example.com") -> tuple[HTTPResponse, bytes]:
        """The answer of the web server in it, and its body."""
        connection = HTTPConnection(*self.address(), timeout=10)
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer, answer.read()

    def serves(self) -> None:
        """Wait until the web server answers."""

        def answers() -> bool:
            try:
                return bool(self.get("/livez"))
            except OSError:
                return False

        until(answers)

    def prints(self, text: str, seconds: float = 30) -> None:
        """Wait until its log has the text."""
        until(lambda: text in self.logs(), seconds)

    def stop(self) -> float:
        """The seconds that `docker stop` takes."""
        start = time.monotonic()
        docker("stop", self.id)
        return time.monotonic() - start
