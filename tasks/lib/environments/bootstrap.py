"""Servers made ready: one Swarm of them all, the first with what is kept on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import TaskError
from ..orchestrators.swarm.client import Swarm
from ..project import contract

if TYPE_CHECKING:
    from ..ssh.host import Host
    from .connection import Target

# The address by which we reached the server: the others reach it there, too.
ADDRESS = "echo \"$SSH_CONNECTION\" | cut -d' ' -f3"
FOLDER = 'if [ -d "$1" ]; then echo there; else mkdir -p "$1"; fi'


def setup(target: Target) -> Iterator[str]:
    """Make an environment's servers ready; yields what was changed, a line each.

    Run again, it changes nothing. Raises TaskError for a server that is in another Swarm.
    """
    yield from _first(target)
    for index, host in enumerate(target.hosts[1:], 1):
        yield from _join(target, host, managers=index < wanted_managers(len(target.hosts)))
    node = target.swarm.info()["Swarm"]["NodeID"]
    nodes = target.swarm.nodes()
    if not any(each["Spec"].get("Labels", {}).get(target.stack) == contract.HOME for each in nodes):
        target.swarm.run("node", "update", "--label-add", f"{target.stack}={contract.HOME}", node)
        yield f"{target.first.name}: home of {target.stack}: its proxy, its database"
    if not target.first.run(FOLDER, target.path):
        yield f"{target.first.name}: folder {target.path}"


def wanted_managers(hosts: int) -> int:
    """How many of the servers manage the Swarm: an odd number, so that a majority is clear.

    https://docs.docker.com/engine/swarm/admin_guide/#add-manager-nodes-for-fault-tolerance
    """
    return min(5, hosts - 1 + hosts % 2)


def _first(target: Target) -> Iterator[str]:
    if target.swarm.info()["Swarm"]["LocalNodeState"] == "inactive":
        address = target.first.run(ADDRESS, changes=False).strip()
        target.swarm.run("swarm", "init", "--advertise-addr", address)
        yield f"{target.first.name}: a new Swarm, at {address}"


def _join(target: Target, host: Host, managers: bool) -> Iterator[str]:
    with host.docker() as env:
        swarm = Swarm(target.ctx, env)
        engine, home = swarm.info(), target.swarm.info()["Swarm"]
        nodes = target.swarm.nodes()
        if engine["Swarm"]["LocalNodeState"] != "inactive":
            if engine["Swarm"]["NodeID"] in {each["ID"] for each in nodes}:
                return
            hint = "docker swarm leave there, or take it out of hosts"
            raise TaskError(f"{host.name} is in another Swarm", hint)
        address = host.run(ADDRESS, changes=False).strip()
        if _forget(target, nodes, engine["Name"], address):
            yield f"{host.name}: had left; its former place is taken away"
        role = "manager" if managers else "worker"
        token = target.swarm.run("swarm", "join-token", "--quiet", role).strip()
        try:
            swarm.run("swarm", "join", "--token", token, f"{home['NodeAddr']}:2377")
        finally:
            # It was in an argument, which others on this machine may have seen.
            target.swarm.run("swarm", "join-token", "--quiet", "--rotate", role)
    yield f"{host.name}: joined as {role}"


def _forget(target: Target, nodes: Iterable[Mapping[str, Any]], name: str, address: str) -> bool:
    """Take away what a server that left the Swarm still is in it: a manager that is missed.

    Returns whether there was anything.
    """
    left = [
        each
        for each in nodes
        if each["Description"]["Hostname"] == name
        and (each["Status"]["State"] == "down" or address in _addresses(each))
    ]
    for each in left:
        if each.get("ManagerStatus"):
            target.swarm.run("node", "demote", each["ID"])
        target.swarm.run("node", "rm", "--force", each["ID"])
    return bool(left)


def _addresses(node: Mapping[str, Any]) -> set[str]:
    """Where a node is: of a leader only its other address tells."""
    manager = node.get("ManagerStatus", {}).get("Addr", "")
    return {node["Status"].get("Addr", ""), manager.rpartition(":")[0]}
