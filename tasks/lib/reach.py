"""Run inside the image (python -c, then names of services): wait until these can be reached.

A server knows the names of the stack's network only a while after it, or theirs, was cut off.
"""

import os
import socket
import sys
import time
from urllib.parse import urlsplit

# Seconds.
LIMIT, PAUSE = 90, 0.5


def trouble(host: str, port: int) -> str:
    """Why a service cannot be reached; empty when it can."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def wait(host: str, port: int) -> None:
    """Wait for one service, and say so. Ends with status 1 when it does not come."""
    began, said = time.monotonic(), False
    while why := trouble(host, port):
        if not said:
            print(f"waiting for {host}: {why}", file=sys.stderr, flush=True)
            said = True
        if time.monotonic() - began > LIMIT:
            sys.exit(f"{host} cannot be reached from {socket.gethostname()}: {why}")
        time.sleep(PAUSE)


for key, value in os.environ.items():
    address = urlsplit(value) if key.endswith("_URL") else None
    if address and address.hostname in sys.argv[1:] and address.port:
        wait(address.hostname, address.port)
