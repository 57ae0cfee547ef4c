"""Stands before an S3 server, and lies: python3 lying_storage.py SERVER HOW.

HOW is one of: lose (a PUT is answered well and forgotten), cut (half of each file is given back),
slow (each answer takes a second), silent (no answer at all), refuse (503), keep (403 to a
deletion).
"""

import hashlib
import http.client
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVER, HOW = sys.argv[1:]
LOST = {}


class Liar(BaseHTTPRequestHandler):
    """Passes requests on, in its own way."""

    protocol_version = "HTTP/1.1"

    def do(self):
        """Answer a request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if HOW == "silent":
            time.sleep(300)
        if HOW == "slow":
            time.sleep(1)
        if HOW == "refuse":
            return self.answer(503, {}, b"")
        if HOW == "keep" and self.command == "DELETE":
            return self.answer(403, {}, b"")
        path = self.path.partition("?")[0]
        if HOW == "lose" and self.command == "PUT":
            LOST[path] = (len(body), hashlib.md5(body).hexdigest())
            return self.answer(200, {"ETag": f'"{LOST[path][1]}"'}, b"")
        if path in LOST and self.command == "HEAD":
            size, digest = LOST[path]
            date = self.date_time_string()
            known = {"ETag": f'"{digest}"', "Content-Length": str(size), "Last-Modified": date}
            return self.answer(200, known, b"")
        return self.passed(body)

    def passed(self, body):
        """Answer as the server does; half of a file, if files are cut."""
        server = http.client.HTTPConnection(SERVER)
        server.request(self.command, self.path, body, dict(self.headers.items()))
        answer = server.getresponse()
        content = answer.read()
        headers = {k: v for k, v in answer.getheaders() if k.lower() != "transfer-encoding"}
        is_file = answer.status in (200, 206) and "xml" not in headers.get("Content-Type", "")
        if HOW == "cut" and self.command == "GET" and is_file:
            content = content[: len(content) // 2]
        if self.command != "HEAD":
            headers["Content-Length"] = str(len(content))
        return self.answer(answer.status, headers, content)

    def answer(self, status, headers, content):
        """Send an answer."""
        self.send_response_only(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do

    def log_message(self, *_):
        """Say nothing."""


ThreadingHTTPServer(("", 8080), Liar).serve_forever()
