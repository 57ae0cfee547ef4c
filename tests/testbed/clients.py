"""Clients of a site: which of their requests fail, and which version answers since when."""

from __future__ import annotations

import http.client
import re
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from tests.testbed.commands import until

CLIENTS = 8
# Seconds that nothing else may answer until a version serves everywhere, and that it may take.
CALM, LIMIT = 2, 180


@dataclass
class Clients:
    """Clients that ask while it lasts, half of which keep their connection.

    Args:
        url: the site's.
        paths: what they ask for, in turn; each must be answered with 200.
        pause: seconds between two requests of a client: the machine is also the servers'.
        count: how many there are.
        done: how many requests were answered well, by kind.
        failures: what became of the others, with the second in which it did.
        seen: which commit answered /livez, and when.
    """

    url: str
    paths: tuple[str, ...] = ("/", "/livez")
    pause: float = 0.1
    count: int = CLIENTS
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seen: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        self._host, self._port = str(parts.hostname), parts.port or 80
        self._end = threading.Event()
        self._began = self._failed = time.time()
        self._threads = [threading.Thread(target=each, daemon=True) for each in self.work()]

    def work(self) -> list[Callable[[], None]]:
        """Return what each thread does until the end."""
        return [partial(self._quick, keep=bool(number % 2)) for number in range(self.count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Let what is in flight end."""
        self._end.set()
        for thread in self._threads:
            thread.join(60)

    def __str__(self) -> str:
        return f"load: {dict(self.done)}, {len(self.failures)} failed"

    @property
    def total(self) -> int:
        """How many requests were answered well."""
        return sum(self.done.values())

    @property
    def versions(self) -> Counter[str]:
        """How many of /livez's answers came from which commit."""
        return Counter(version for _, version in self.seen)

    def since(self, version: str) -> float:
        """When this version began to be the only one that answers; 0 while it is not."""
        seen = list(self.seen)
        last = max([self._failed, *(when for when, other in seen if other != version)])
        return min((when for when, one in seen if one == version and when > last), default=0)

    def wait(self, version: str) -> float:
        """Wait until this version alone answers, and go on for a while. Returns since when."""
        until(lambda: (since := self.since(version)) and time.time() > since + CALM, LIMIT)
        return self.since(version)

    def _fail(self, kind: str, what: object) -> None:
        self._failed = time.time()
        self.failures.append(f"{self._failed - self._began:.1f} s: {kind}: {what}")

    def _quick(self, keep: bool) -> None:
        connection, turn = None, 0
        while not self._end.wait(self.pause):
            path = self.paths[turn % len(self.paths)]
            turn += 1
            try:
                connection = connection or self.connect()
                status, body = ask(connection, path)
            except (OSError, http.client.HTTPException) as error:
                self._fail(path, repr(error))
                connection = None
                continue
            self._count(path, "kept" if keep else "new", status, body)
            if not keep:
                connection.close()
                connection = None

    def _count(self, path: str, kind: str, status: int, body: str) -> None:
        if status != 200:
            self._fail(path, f"{status} {body[:200]}")
            return
        self.done[kind] += 1
        if path == "/livez" and (found := re.search(r'"version": "([^"]+)"', body)):
            self.seen.append((time.time(), found[1]))

    def connect(self) -> http.client.HTTPConnection:
        """A connection of its own to the site."""
        return http.client.HTTPConnection(self._host, self._port, timeout=30)


def ask(connection: http.client.HTTPConnection, path: str) -> tuple[int, str]:
    """Status and body of an answer."""
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(errors="replace")
