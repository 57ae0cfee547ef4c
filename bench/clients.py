"""Clients of a site: what each of their requests came to, and when."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.parse
from dataclasses import dataclass

CLIENTS, PAUSE = 8, 0.1
# Seconds that a request may take; that nothing else may answer until a version serves everywhere;
# and that it may take until then.
PATIENCE, CALM, LIMIT = 30, 2, 180


@dataclass(frozen=True)
class Answer:
    """When a request had its answer, whether it was a good one, and the version that it told."""

    when: float
    good: bool
    version: str


class Clients:
    """Clients that ask while it lasts, half of them each time over a connection of its own.

    Args:
        url: the site's.
        paths: what they ask for, in turn; /livez tells the version.
    """

    def __init__(self, url: str, *paths: str, count: int = CLIENTS) -> None:
        self._address, self._paths = urllib.parse.urlsplit(url).netloc, paths or ("/livez",)
        self._end = threading.Event()
        self.answers: list[Answer] = []
        self._threads = [
            threading.Thread(target=self._ask, args=(bool(number % 2),), daemon=True)
            for number in range(count)
        ]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()

    def _ask(self, keep: bool) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=PATIENCE)
        turn = 0
        while not self._end.wait(PAUSE):
            good, version = _get(connection, self._paths[turn % len(self._paths)])
            self.answers.append(Answer(time.time(), good, version))
            turn += 1
            if not (keep and good):
                connection.close()

    @property
    def failed(self) -> int:
        """How many requests were not answered well."""
        return sum(not each.good for each in self.answers)

    def since(self, version: str) -> float:
        """When this version began to be the only one that answers; 0 while it is not."""
        answers = list(self.answers)
        wrong = [
            each.when for each in answers if not each.good or each.version not in ("", version)
        ]
        last = max(wrong, default=0)
        return min((each.when for each in answers if each.version == version and each.when > last),
                   default=0)  # fmt: skip

    def wait(self, version: str) -> float:
        """Wait until this version alone answers, and go on for a while. Returns since when.

        Raises RuntimeError when that takes too long.
        """
        deadline = time.time() + LIMIT
        while not (since := self.since(version)) or time.time() < since + CALM:
            if time.time() > deadline:
                raise RuntimeError(f"{self._address} does not serve {version} after {LIMIT} s")
            time.sleep(PAUSE)
        return since


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[bool, str]:
    """Whether a request is answered well, and the version that the answer tells."""
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        told = json.loads(body) if path == "/livez" else {}
        return answer.status == 200, told.get("version", "")
    except (OSError, ValueError, http.client.HTTPException):
        return False, ""
