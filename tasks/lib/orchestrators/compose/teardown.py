"""A stack is removed from its server: containers, networks, files and, if wanted, data."""

from __future__ import annotations

from ..leases import LABEL
from . import jobs
from .files import CONFIG, VIEW
from .server import Server

# Seconds until a network or a volume must be in use no longer.
TIMEOUT = 30


def remove(server: Server, volumes: bool) -> None:
    """Remove a stack; with volumes its data and its secrets, too."""
    jobs.clear(server)
    containers = server.containers()
    server.stopping(containers).wait()
    # One that did not stop is not removed: that is an error.
    server.delete(each.id for each in containers)
    server.delete(server.ids_of())
    for name in server.ids("network", *server.of()):
        server.remove("network", name, TIMEOUT)
    wanted = _volumes(server) if volumes else [*_kind(server, CONFIG), f"{server.stack}_{VIEW}"]
    for name in wanted:
        server.remove("volume", name, TIMEOUT)


def _kind(server: Server, kind: str) -> list[str]:
    return server.names("volume", *server.of(f"deploy.kind={kind}"))


def _volumes(server: Server) -> list[str]:
    """Return the names of the stack's volumes, but for the leases of its lock."""
    prefix = f"{server.stack}_"
    leases = server.names("volume", f"label={LABEL}={server.stack}")
    named = server.names("volume", f"name={prefix}")
    mine = {each for each in named if each.startswith(prefix)}
    return sorted(mine | {*server.names("volume", *server.of())} - {*leases})
