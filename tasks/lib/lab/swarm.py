"""The Swarm of a lab: formed when it is new, and mended when a server was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import TaskError
from ..process import wait_until

# With fewer servers than these, one alone manages the Swarm: of two, neither could be missed.
MANAGERS = 3
# Seconds that managers may take to find each other after a start.
TIMEOUT = 60
STATE = "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"
MEMBER = "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"

# Runs docker with some words on the server of a name; returns what it prints, empty if it fails.
Ask = Callable[..., str]
# The same; raises when it fails.
Run = Callable[..., str]


def form(run: Run, ask: Ask, addresses: Mapping[str, str]) -> None:
    """Make one Swarm of the servers: the first three manage it, if there are as many.

    Args:
        run: runs docker with some words on a server; raises when it fails.
        ask: the same; empty when it fails.
        addresses: the servers' addresses, by name.
    """
    names = list(addresses)
    if all(run(name, "info", "--format", STATE).startswith("inactive") for name in names):
        run(names[0], "swarm", "init", *_advertise(addresses[names[0]]), *_pool(addresses))
    manager = _until(lambda: _manager(ask, names), "the Swarm has no manager")
    managers = MANAGERS if len(names) >= MANAGERS else 1
    for index, name in enumerate(names):
        if run(name, "info", "--format", STATE).startswith("inactive"):
            _forget(run, ask, manager, name)
            role = "manager" if index < managers else "worker"
            token = run(manager, "swarm", "join-token", "--quiet", role)
            where = [*_advertise(addresses[name]), f"{addresses[manager]}:2377"]
            run(name, "swarm", "join", "--token", token, *where)
    _until(lambda: _ready(members(ask, names), names), "not every server is Ready in the Swarm")


def members(ask: Ask, names: list[str]) -> dict[str, str]:
    """What the Swarm says of each server, as the first that answers tells it."""
    for name in names:
        if told := ask(name, "node", "ls", "--format", MEMBER):
            return dict(line.split(" ", 1) for line in told.splitlines())
    return {}


def _advertise(address: str) -> list[str]:
    return ["--advertise-addr", address]


def _pool(addresses: Mapping[str, str]) -> list[str]:
    """Where overlay networks are: Docker takes 10.0.0.0/8 unless told otherwise."""
    clash = any(address.startswith("10.") for address in addresses.values())
    return ["--default-addr-pool", "172.31.0.0/16"] if clash else []


def _manager(ask: Ask, names: list[str]) -> str:
    """A server that can change the Swarm; empty when none can."""
    return next((name for name in names if ask(name, "node", "ls", "--quiet")), "")


def _forget(run: Run, ask: Ask, manager: str, name: str) -> None:
    """Remove the members whose place a server takes that was made anew."""
    for node in ask(manager, "node", "ls", "--quiet", "--filter", f"name={name}").split():
        run(manager, "node", "demote", node)
        run(manager, "node", "rm", "--force", node)


def _ready(told: Mapping[str, str], names: list[str]) -> str:
    return "yes" if all(told.get(name, "").startswith("Ready") for name in names) else ""


def _until(find: Callable[[], str], what: str) -> str:
    """Wait for something to be found."""
    try:
        return wait_until(find, TIMEOUT)
    except TimeoutError:
        hint = "inv lab.down, then inv lab.up"
        raise TaskError(f"{what}, after {TIMEOUT} s", hint) from None
