"""Servers on this machine, for fast tests: a host with a shell, a registry, a site."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from tasks.lib.errors import RemoteCommandError


class LocalHost:
    """Runs the very scripts that run on servers, in a folder of this machine."""

    def __init__(self, home: Path) -> None:
        self.name, self.home = "memory", home
        home.mkdir(parents=True, exist_ok=True)

    def run(
        self,
        script: str,
        *arguments: str,
        text: str = "",
        changes: bool = True,
        seconds: float = 60,
    ) -> str:
        """Run a shell script; see ssh.host.Host.run."""
        done = subprocess.run(
            ["sh", "-c", script, "inv", *arguments],
            cwd=self.home, input=text, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            output = done.stderr.strip() or done.stdout.strip()
            raise RemoteCommandError(self.name, done.returncode, output)
        return done.stdout


class Quiet(BaseHTTPRequestHandler):
    """Answers over kept connections, and logs nothing."""

    protocol_version = "HTTP/1.1"
    # Headers and body in one packet: else each answer waits 40 ms for an acknowledgement.
    wbufsize = -1

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1; gives HOST:PORT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def site(answer: Callable[[str], tuple[int, str]]) -> type[Quiet]:
    """A site, whose answers are the status and the text that a function gives for a path."""

    class Site(Quiet):
        def do_GET(self) -> None:
            status, text = answer(self.path)
            self.answer(status, text.encode())

    return Site


class Store(Quiet):
    """A registry: manifests by tag and digest, and blobs (OCI distribution spec 1.1, in part).

    asked: the requests until now, method and path.
    """

    manifests: dict[str, tuple[str, bytes]]
    blobs: dict[str, bytes]
    asked: list[str]

    def parse_request(self) -> bool:
        """Note each request."""
        done = super().parse_request()
        if done:
            self.asked.append(f"{self.command} {self.path}")
        return done

    def tags(self) -> None:
        """Send a page of the tags, and where the next one is."""
        query = {key: each[0] for key, each in parse_qs(urlsplit(self.path).query).items()}
        tags = sorted(tag for tag in self.manifests if ":" not in tag)
        tags = [tag for tag in tags if tag > query.get("last", "")]
        page = tags[: int(query.get("n", len(tags)))]
        more = f"{urlsplit(self.path).path}?{urlencode({**query, 'last': page[-1:]}, doseq=True)}"
        links = {"Link": f'<{more}>; rel="next"'} if len(page) < len(tags) else {}
        self.answer(200, json.dumps({"tags": page}).encode(), **links)

    def do_GET(self) -> None:
        """Send a manifest, a blob, or the tags."""
        kind, name = re.findall(r"/(manifests|blobs|tags)/([^?]+)", self.path)[0]
        if kind == "tags":
            self.tags()
        elif kind == "blobs" and name in self.blobs:
            self.answer(200, self.blobs[name])
        elif kind == "manifests" and name in self.manifests:
            media, body = self.manifests[name]
            self.answer(200, body, Content_Type=media, Docker_Content_Digest=digest(body))
        else:
            self.answer(404, b"{}")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Begin the upload of a blob."""
        self.answer(202, Location=f"{self.path}1")

    def do_PUT(self) -> None:
        """Take a blob or a manifest."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "/blobs/uploads/" in self.path:
            self.blobs[digest(body)] = body
        else:
            entry = self.headers["Content-Type"], body
            self.manifests[self.path.rpartition("/")[2]] = self.manifests[digest(body)] = entry
        self.answer(201)

    def do_DELETE(self) -> None:
        """Delete a manifest with its tags."""
        name = self.path.rpartition("/")[2]
        for tag in [tag for tag, (_, body) in self.manifests.items() if digest(body) == name]:
            del self.manifests[tag]
        self.answer(202)


def registry() -> type[Store]:
    """An empty registry."""
    return type("Registry", (Store,), {"manifests": {}, "blobs": {}, "asked": []})


def digest(body: bytes) -> str:
    """The digest of some bytes."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
