"""The Swarm of a lab: formed once, and repaired when a server was recreated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ..errors import TaskError

# With fewer servers there is one manager: two managers could not lose either.
MANAGERS = 3
# Seconds within which the managers must find each other after a start.
TIMEOUT = 60
STATE = "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"
MEMBER = "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"

# Runs docker with some words on the server of a name; returns its output, or raises when it fails.
Run = Callable[..., str]
# The same, but returns an empty string when it fails.
Query = Callable[..., str]


def form(run: Run, query: Query, addresses: Mapping[str, str]) -> None:
    """Form one Swarm of the servers; the first three of them, if there are three, manage it.

    Args:
        addresses: the servers' addresses, by name.
    """
    names = list(addresses)
    if all(run(name, "info", "--format", STATE).startswith("inactive") for name in names):
        run(names[0], "swarm", "init", *_advertise(addresses[names[0]]), *_pool(addresses))
    manager = _until(lambda: _manager(query, names), "the Swarm has no manager")
    managers = MANAGERS if len(names) >= MANAGERS else 1
    for index, name in enumerate(names):
        if run(name, "info", "--format", STATE).startswith("inactive"):
            _forget(run, query, manager, name)
            role = "manager" if index < managers else "worker"
            token = run(manager, "swarm", "join-token", "--quiet", role)
            address = [*_advertise(addresses[name]), f"{addresses[manager]}:2377"]
            run(name, "swarm", "join", "--token", token, *address)
    _until(lambda: _ready(members(query, names), names), "not every server is Ready in the Swarm")


def members(query: Query, names: list[str]) -> dict[str, str]:
    """Return the status of each server in the Swarm, from the first that answers."""
    for name in names:
        if output := query(name, "node", "ls", "--format", MEMBER):
            return dict(line.split(" ", 1) for line in output.splitlines())
    return {}


def _advertise(address: str) -> list[str]:
    return ["--advertise-addr", address]


def _pool(addresses: Mapping[str, str]) -> list[str]:
    """Choose another address pool for overlay networks where Docker's 10.0.0.0/8 would clash."""
    clash = any(address.startswith("10.") for address in addresses.values())
    return ["--default-addr-pool", "172.31.0.0/16"] if clash else []


def _manager(query: Query, names: list[str]) -> str:
    """Return a server that can change the Swarm; empty when none can."""
    return next((name for name in names if query(name, "node", "ls", "--quiet")), "")


def _forget(run: Run, query: Query, manager: str, name: str) -> None:
    """Remove the nodes that a recreated server of the same name replaces."""
    for node in query(manager, "node", "ls", "--quiet", "--filter", f"name={name}").split():
        run(manager, "node", "demote", node)
        run(manager, "node", "rm", "--force", node)


def _ready(found: Mapping[str, str], names: list[str]) -> str:
    return "yes" if all(found.get(name, "").startswith("Ready") for name in names) else ""


def _until(find: Callable[[], str], what: str) -> str:
    """Wait until something is found, and return it. Raises TaskError after TIMEOUT seconds."""
    deadline = time.monotonic() + TIMEOUT
    while not (found := find()):
        if time.monotonic() > deadline:
            raise TaskError(f"{what} after {TIMEOUT} s", "inv lab.down, then inv lab.up")
        time.sleep(0.2)
    return found
