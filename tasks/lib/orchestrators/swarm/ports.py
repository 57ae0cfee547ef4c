"""The ports that are taken on a node: by a Swarm's services, by containers, by other processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ...provisioning.sockets import LISTENING
from ...ssh.host import Host
from ..engine import RUN
from ..ports import add
from ..status import Ports
from . import labels
from .client import STACK, Swarm


def taken(swarm: Swarm, hosts: Sequence[Host], stack: str) -> Ports:
    """Return the ports that are taken on the node where a stack publishes its own.

    That is the home of its data, or the first server as long as it has none.
    """
    part = swarm.info()["Swarm"]
    if not part.get("ControlAvailable"):
        return Ports(hosts[0].name, {})
    nodes = swarm.nodes()
    first = next(node for node in nodes if node["ID"] == part["NodeID"])
    node = labels.home(nodes, stack) or first
    found: dict[str, set[str]] = defaultdict(set)
    for service in swarm.objects("service"):
        spec = service["Spec"]
        found[spec["Labels"].get(STACK) or spec["Name"]] |= published(service, node)
    for host in hosts:
        docker = Swarm(swarm.ctx, host.docker())
        if docker.info()["Swarm"].get("NodeID") == node["ID"]:
            add(found, docker.objects("container", *RUN), host.run(LISTENING, changes=False))
            break
    return Ports(node["Description"]["Hostname"], found)


def published(service: Mapping[str, Any], node: labels.Node) -> set[str]:
    """Return the ports of a node that a service has, or will have."""
    spec = service["Spec"]
    placement = spec["TaskTemplate"].get("Placement") or {}
    here = labels.admits(placement.get("Constraints") or [], node)
    parts = (spec.get("EndpointSpec") or {}, service.get("Endpoint") or {})
    ports = [port for part in parts for port in part.get("Ports") or []]
    return {
        f"{port['PublishedPort']}/{port.get('Protocol', 'tcp')}"
        for port in ports
        # The routing mesh publishes a port on every node.
        if port.get("PublishedPort") and (here or port.get("PublishMode") != "host")
    }
