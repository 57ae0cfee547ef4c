"""Load on a site: many clients at once, and each request that fails is kept."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

CLIENTS, SLOW, UPLOADS, VISITORS = 8, 2, 2, 2
# Seconds that an upload takes on its way, and bytes that it has.
UPLOAD, SIZE = 5, 200_000
# Seconds that a visitor's browser takes to ask for what the page shows; longer than replicas of two
# versions answer side by side.
READING = 2
FOR_EVER = "public, max-age=31536000, immutable"
BOUNDARY = "----part"


@dataclass
class Load:
    """Many clients while it lasts, half of which keep their connection.

    Beside them, requests that the app takes 5 s for (/slow), uploads that take 5 s to arrive, and
    visitors who load a page and, a moment later, its static files.

    Args:
        url: the site's.
        paths: what the quick ones ask for, in turn; each must be answered with 200.
        pause: seconds between two requests of a client: the machine is also the servers'.
        done: how many requests were answered well, by kind.
        failures: what became of the others, with the second in which it did.
        versions: how many of /livez's answers came from which commit.
    """

    url: str
    paths: tuple[str, ...] = ("/", "/livez")
    pause: float = 0.1
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        self._host, self._port = str(parts.hostname), parts.port or 80
        self._end = threading.Event()
        self._began = time.monotonic()
        work = [lambda n=n: self._quick(keep=bool(n % 2)) for n in range(CLIENTS)]
        work += [lambda: self._again("slow", self._sleep)] * SLOW
        work += [lambda: self._again("upload", self._upload)] * UPLOADS
        work += [lambda: self._again("visit", self._visit)] * VISITORS
        self._threads = [threading.Thread(target=each, daemon=True) for each in work]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Let what is in flight end."""
        self._end.set()
        for thread in self._threads:
            thread.join(60)
        if kind is None:
            print(self)

    def __str__(self) -> str:
        return f"load: {dict(self.done)}, {len(self.failures)} failed"

    @property
    def total(self) -> int:
        """How many requests were answered well."""
        return sum(self.done.values())

    def _fail(self, kind: str, what: object) -> None:
        self.failures.append(f"{time.monotonic() - self._began:.1f} s: {kind}: {what}")

    def _quick(self, keep: bool) -> None:
        connection, turn = None, 0
        while not self._end.is_set():
            path = self.paths[turn % len(self.paths)]
            turn += 1
            try:
                connection = connection or self._connect()
                status, body = _ask(connection, path)
            except (OSError, http.client.HTTPException) as error:
                self._fail(path, repr(error))
                connection = None
                continue
            self._count(path, "kept" if keep else "new", status, body)
            if not keep:
                connection.close()
                connection = None
            time.sleep(self.pause)

    def _count(self, path: str, kind: str, status: int, body: str) -> None:
        if status != 200:
            self._fail(path, f"{status} {body[:200]}")
            return
        self.done[kind] += 1
        if path == "/livez" and (found := re.search(r'"version": "([^"]+)"', body)):
            self.versions[found[1]] += 1

    def _again(self, kind: str, work) -> None:  # type: ignore[no-untyped-def]
        while not self._end.is_set():
            try:
                said = work()
            except (OSError, http.client.HTTPException) as error:
                said = repr(error)
            if said:
                self._fail(kind, said)
                time.sleep(0.1)
            else:
                self.done[kind] += 1

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=30)

    def _sleep(self) -> str:
        """Ask for what takes the app 5 s. Returns what was wrong."""
        status, body = _ask(self._connect(), "/slow")
        return "" if status == 200 else f"{status} {body[:200]}"

    def _upload(self) -> str:
        """Send a form with a file, slowly, and be redirected. Returns what was wrong."""
        connection = self._connect()
        connection.request("GET", "/")
        page = connection.getresponse()
        token = re.search('csrfmiddlewaretoken" value="([^"]+)"', page.read().decode())
        cookie = (page.getheader("Set-Cookie") or "").split(";")[0]
        connection.close()
        if not token:
            return f"the page has no form: {page.status}"
        target = f"https://example.com/{time.time()}"
        body = _form({"csrfmiddlewaretoken": token[1], "target": target})
        head = [
            "POST / HTTP/1.1", f"Host: {self._host}:{self._port}", f"Origin: {self.url}",
            f"Cookie: {cookie}", f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
            f"Content-Length: {len(body)}", "Connection: close", "", "",
        ]  # fmt: skip
        with socket.create_connection((self._host, self._port), timeout=30) as sender:
            sender.sendall("\r\n".join(head).encode())
            step = len(body) // (UPLOAD * 2) + 1
            for start in range(0, len(body), step):
                sender.sendall(body[start : start + step])
                time.sleep(0.5)
            answer = sender.recv(4096).decode(errors="replace")
        return "" if answer.startswith("HTTP/1.1 302") else answer[:200]

    def _visit(self) -> str:
        """Load a page, then what it shows. Returns what was wrong."""
        status, page = _ask(self._connect(), "/")
        if status != 200:
            return f"{status} {page[:200]}"
        time.sleep(READING)
        for file in static(page):
            connection = self._connect()
            connection.request("GET", file)
            answer = connection.getresponse()
            size, kept = len(answer.read()), answer.getheader("Cache-Control")
            if (answer.status, kept) != (200, FOR_EVER) or not size:
                return f"{file}: {answer.status} {kept} {size} bytes"
        return ""


def static(page: str) -> list[str]:
    """The static files that a page shows."""
    return sorted(set(re.findall(r'"(/static/[^"]+)"', page)))


def _ask(connection: http.client.HTTPConnection, path: str) -> tuple[int, str]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(errors="replace")


def _form(fields: dict[str, str]) -> bytes:
    """A form's body, with a file."""
    parts = [f'name="{key}"\r\n\r\n{value}' for key, value in fields.items()]
    parts.append(f'name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n{"a" * SIZE}')
    lines = "".join(f"--{BOUNDARY}\r\nContent-Disposition: form-data; {each}\r\n" for each in parts)
    return f"{lines}--{BOUNDARY}--\r\n".encode()
