"""The ports that are taken on a server: by containers, and by other processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..provisioning.sockets import listening
from .stack import STACK

SWARM_STACK = "com.docker.stack.namespace"
OTHER = "another process"


def add(found: dict[str, set[str]], containers: Iterable[Mapping[str, Any]], sockets: str) -> None:
    """Add the ports of a server's containers, as its engine lists them, and of other processes."""
    docker = set()
    for each in containers:
        labels, name = each["Labels"], each["Names"][0].lstrip("/")
        docker |= (ports := published(each))
        found[labels.get(SWARM_STACK) or labels.get(STACK) or f"container {name}"] |= ports
    found[OTHER] |= listening(sockets) - docker


def published(container: Mapping[str, Any]) -> set[str]:
    """Return the ports of the server that a container has."""
    every = container.get("Ports") or []
    return {f"{port['PublicPort']}/{port['Type']}" for port in every if port.get("PublicPort")}
