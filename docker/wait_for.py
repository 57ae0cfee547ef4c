"""Wait until services accept connections, then run a command in place of this process.

A server can look up names on the stack's network only some time after the network was cut off.
Usage: wait_for.py [--at-most SECONDS] [SERVICE...] -- COMMAND...
"""

import argparse
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

# Seconds: the limit for all services together, unless WAIT_TIMEOUT sets it; one connection attempt;
# the pause between two attempts.
TIMEOUT, CONNECT, PAUSE = 90, 5, 0.5
# How many seconds a look-up of a name may take: the app does one for each connection.
LOOKUP = 1.0


class UnreachableError(Exception):
    """A service that did not accept a connection in time."""


def addresses(services: Sequence[str]) -> list[tuple[str, int]]:
    """Return the host and port of services, from the variables whose names end in _URL."""
    found: dict[tuple[str, int], None] = {}
    for name, value in os.environ.items():
        # A value that is no URL is reported by the app itself.
        with suppress(ValueError):
            url = urlsplit(value)
            if name.endswith("_URL") and url.hostname in services and url.port:
                found[url.hostname, url.port] = None
    return list(found)


def problem(host: str, port: int) -> str:
    """Return why a service cannot be reached, or an empty string if it can."""
    try:
        socket.create_connection((host, port), timeout=CONNECT).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def slowness(host: str) -> str:
    """Return how long the look-up of a host's name took, if that was long; else an empty string."""
    began = time.monotonic()
    with suppress(OSError):
        socket.getaddrinfo(host, None)
    took = time.monotonic() - began
    return f"the look-up of its name took {took:.1f} s" if took > LOOKUP else ""


def wait(services: Sequence[str], timeout: float) -> None:
    """Wait for services, and print the first problem of each, and slow look-ups.

    Raises UnreachableError when the time is over.
    """
    deadline = time.monotonic() + timeout
    for host, port in addresses(services):
        printed = False
        while why := problem(host, port):
            if not printed:
                print(f"waiting for {host}: {why}", file=sys.stderr, flush=True)
                printed = True
            if time.monotonic() > deadline:
                here = socket.gethostname()
                raise UnreachableError(f"{host} cannot be reached from {here}: {why}")
            time.sleep(PAUSE)
        if slow := slowness(host):
            print(f"waiting for {host}: {slow}", file=sys.stderr, flush=True)


def require(services: Sequence[str]) -> None:
    """Wait for services. Exits with status 1 and the reason when one cannot be reached."""
    try:
        wait(services, float(os.environ.get("WAIT_TIMEOUT") or TIMEOUT))
    except UnreachableError as error:
        sys.exit(str(error))


def main(words: list[str]) -> None:
    """Wait, then run the command after "--"."""
    end = words.index("--") if "--" in words else len(words)
    usage = "%(prog)s [--at-most SECONDS] [SERVICE...] -- COMMAND..."
    parser = argparse.ArgumentParser(prog="entrypoint wait", usage=usage)
    parser.add_argument("--at-most", type=float, help="then run the command anyway")
    parser.add_argument("services", nargs="*")
    options, command = parser.parse_args(words[:end]), words[end + 1 :]
    if not command:
        parser.error("no command after --")
    if options.at_most is None:
        require(options.services)
    else:
        try:
            wait(options.services, options.at_most)
        except UnreachableError as error:
            print(f"{error}; running the command anyway", file=sys.stderr, flush=True)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
