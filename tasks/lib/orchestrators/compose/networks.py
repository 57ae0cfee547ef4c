"""The networks of a stack on its server. Docker never changes one: it is made again, or stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..preflight import AGAIN
from ..stack import STACK, Stack
from .server import Server

Network = Mapping[str, Any]


def prepare(server: Server, stack: Stack) -> None:
    """Make the networks of a stack; one of before its first container is replaced if it differs.

    As server.setup makes it, it has no options: those are in the stack.
    """
    there = {each["Name"] for each in _there(server)}
    for network, other in _otherwise(server, stack):
        if other and not server.ids_of():
            server.run("network", "rm", network["name"])
            there.remove(network["name"])
    for network in _own(stack):
        if network["name"] not in there:
            make(server, network)


def make(server: Server, network: Network) -> None:
    """Make a network."""
    options = [f"--opt={k}={v}" for k, v in (network.get("driver_opts") or {}).items()]
    options.append(f"--driver={network.get('driver', 'bridge')}")
    ranges = (network.get("ipam") or {}).get("config") or []
    options += [f"--subnet={each['subnet']}" for each in ranges if each.get("subnet")]
    options += ["--internal"] if network.get("internal") else []
    options += ["--ipv6"] if network.get("enable_ipv6") else []
    server.run("network", "create", f"--label={STACK}={server.stack}", *options, network["name"])


def misfits(server: Server, stack: Stack) -> list[str]:
    """Return the networks that are in use and otherwise than a stack says, a line each."""
    wrong = [(each["name"], other) for each, other in _otherwise(server, stack) if other]
    used = bool(wrong and server.ids_of())
    return [f"network {k} was made with another {other} - {AGAIN}" for k, other in wrong if used]


def _there(server: Server) -> list[dict[str, Any]]:
    return server.objects("network", f"name={server.stack}_")


def _own(stack: Stack) -> list[Network]:
    known = stack.content.get("networks", {}).values()
    return [each for each in known if not each.get("external")]


def _otherwise(server: Server, stack: Stack) -> Iterator[tuple[Network, str]]:
    """Yield each of a stack's existing networks, and the key in which it differs."""
    there = {each["Name"]: each for each in _there(server)}
    for network in _own(stack):
        if found := there.get(network["name"]):
            yield network, made_otherwise(found, network)


def made_otherwise(found: Network, wanted: Network) -> str:
    """Return the key of Compose's in which a network is another one; empty for none."""
    ranges = {each["subnet"] for each in (wanted.get("ipam") or {}).get("config") or []}
    options = {k: str(v) for k, v in (wanted.get("driver_opts") or {}).items()}
    same = {
        "driver": found["Driver"] == wanted.get("driver", "bridge"),
        "internal": found["Internal"] == bool(wanted.get("internal")),
        "enable_ipv6": found["EnableIPv6"] == bool(wanted.get("enable_ipv6")),
        "driver_opts": options.items() <= (found["Options"] or {}).items(),
        "ipam": ranges <= {each["Subnet"] for each in found["IPAM"]["Config"] or []},
    }
    return next((key for key, each in same.items() if not each), "")
