"""Load on a site: many clients at once, and each request that fails is kept."""

from __future__ import annotations

import http.client
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.testbed.clients import Clients, ask

SLOW, UPLOADS, VISITORS = 2, 2, 2
# Seconds that an upload takes on its way, and bytes that it has.
UPLOAD, SIZE = 5, 200_000
# Seconds that a visitor's browser takes to ask for what the page shows; longer than replicas of two
# versions answer side by side.
READING = 2
FOR_EVER = "public, max-age=31536000, immutable"
BOUNDARY = "----part"


@dataclass
class Load(Clients):
    """Clients, and beside them some who notice more of a deploy.

    They are requests that the app takes 5 s for (/slow), uploads that take 5 s to arrive, and
    visitors who load a page and, a moment later, its static files.
    """

    def work(self) -> list[Callable[[], None]]:
        """Return what each thread does until the end."""
        more = [lambda: self._again("slow", self._sleep)] * SLOW
        more += [lambda: self._again("upload", self._upload)] * UPLOADS
        more += [lambda: self._again("visit", self._visit)] * VISITORS
        return super().work() + more

    def _again(self, kind: str, work: Callable[[], str]) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            try:
                said = work()
            except (OSError, http.client.HTTPException) as error:
                said = repr(error)
            if said:
                # How long it took says who ended it: the replica at once, or somebody's time limit.
                self._fail(kind, f"{said} after {time.monotonic() - began:.1f} s")
                time.sleep(0.1)
            else:
                self.done[kind] += 1

    def _sleep(self) -> str:
        """Ask for what takes the app 5 s. Returns what was wrong."""
        status, body = ask(self.connect(), "/slow")
        return "" if status == 200 else f"{status} {body[:200]}"

    def _upload(self) -> str:
        """Send a form with a file, slowly, and be redirected. Returns what was wrong."""
        connection = self.connect()
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
        status, page = ask(self.connect(), "/")
        if status != 200:
            return f"{status} {page[:200]}"
        time.sleep(READING)
        for file in static(page):
            connection = self.connect()
            connection.request("GET", file)
            answer = connection.getresponse()
            size, kept = len(answer.read()), answer.getheader("Cache-Control")
            if (answer.status, kept) != (200, FOR_EVER) or not size:
                return f"{file}: {answer.status} {kept} {size} bytes"
        return ""


def static(page: str) -> list[str]:
    """The static files that a page shows."""
    return sorted(set(re.findall(r'"(/static/[^"]+)"', page)))


def _form(fields: dict[str, str]) -> bytes:
    """A form's body, with a file."""
    parts = [f'name="{key}"\r\n\r\n{value}' for key, value in fields.items()]
    parts.append(f'name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n{"a" * SIZE}')
    lines = "".join(f"--{BOUNDARY}\r\nContent-Disposition: form-data; {each}\r\n" for each in parts)
    return f"{lines}--{BOUNDARY}--\r\n".encode()
