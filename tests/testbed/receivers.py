"""Small real receivers of messages: an HTTP server of any behaviour, and a mail server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.testbed.commands import free_port


@dataclass
class Request:
    """One that a receiver got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """An HTTP server; what it answers can be changed.

    Args:
        statuses: of the next answers; after the last one, 200.
        delay: seconds before each answer.
        answer: the body of each answer.
    """

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    delay: float = 0
    answer: str = "{}"
    got: list[Request] = field(default_factory=list)


@contextmanager
def receiver(host: str = "127.0.0.1") -> Iterator[Receiver]:
    """Run an HTTP server on this machine, at an address of it."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.got.append(Request(self.command, self.path, {**self.headers}, body))
            time.sleep(state.delay)
            self.send_response(state.statuses.pop(0) if state.statuses else 200)
            self.send_header("Location", f"{state.url}/elsewhere")
            self.send_header("Content-Length", str(len(state.answer)))
            self.end_headers()
            self.wfile.write(state.answer.encode())

        do_POST = do_PUT = do_GET = _do

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((host, 0), Handler) as server:
        state.url = f"http://{host}:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield state
        server.shutdown()


@contextmanager
def chat(host: str = "127.0.0.1") -> Iterator[Receiver]:
    """Run a chat at an address of this machine; it answers as Slack and Mattermost do."""
    with receiver(host) as there:
        there.answer = "ok"
        yield there


def titles(there: Receiver) -> list[str]:
    """Return the titles of the alerts that a chat got."""
    return [request.json["attachments"][0]["title"] for request in there.got]


class Letters:
    """What a mail server got; it can refuse the next ones."""

    def __init__(self) -> None:
        self.got: list[Envelope] = []
        self.answers: list[str] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("2"):
            self.got.append(envelope)
        return answer


@contextmanager
def mail_server(**options: Any) -> Iterator[tuple[str, Letters]]:
    """Run a mail server on this machine; yields its address and its letters.

    Args:
        options: of aiosmtpd's SMTP, such as its certificate.
    """
    letters = Letters()
    controller = Controller(letters, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield f"smtp://127.0.0.1:{controller.port}", letters
    finally:
        controller.stop()
