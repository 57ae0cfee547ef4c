"""Put into a container by a test: answers after the seconds in the query."""

import time
from collections.abc import Callable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Print a line, sleep, then answer."""
    if seconds := float(environ["QUERY_STRING"] or 0):
        print("the request begins", flush=True)
        time.sleep(seconds)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"done"]
