"""Serve what is known of backups and drills as metrics of Prometheus, without a library."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def text(known, every):
    """Return the metrics of what schedule.known returns; `every` is in seconds.

    What never was has the time 0: an alert can tell it from what is unknown.
    """
    drill = max(known.get("drilled_at", 0), known.get("proven", 0))
    found = (
        ("every_seconds", "Seconds between two", every),
        ("success_timestamp_seconds", "When the last good one was made", known.get("good", 0)),
        ("failure_timestamp_seconds", "When one failed last", known.get("failed", 0)),
        ("drill_timestamp_seconds", "When one was proven last", drill),
        ("drill_failed", "Whether a later drill failed", known.get("drill_failed", 0) > drill),
    )
    parts = ((f"backup_{name}", about, float(value)) for name, about, value in found)
    return "".join(
        f"# HELP {name} {about}\n# TYPE {name} gauge\n{name} {value}\n"
        for name, about, value in parts
    )


def serve(port, read):
    """Serve what `read` returns at a port of every address, beside what this program does."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self):
            body = read().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
