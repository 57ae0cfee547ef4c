"""Servers are set up: one Swarm of them all, one with the label of the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from invoke import Context

from ...errors import TaskError
from ...process import wait_until
from ...ssh.host import Host
from . import labels
from .client import Swarm

# The address by which we reached the server: the other servers reach it there, too.
ADDRESS = "echo \"$SSH_CONNECTION\" | cut -d' ' -f3"

# Seconds that servers may take until they are ready in the Swarm, as after a start.
READY = 60
# What docker says of a node.
Node = dict[str, Any]


@dataclass
class Server:
    """A server, docker on it, and what its engine says of itself."""

    host: Host
    docker: Swarm
    info: Mapping[str, Any]

    @property
    def swarm(self) -> Mapping[str, Any]:
        """Its part in a Swarm."""
        return dict(self.info["Swarm"])

    def address(self) -> str:
        """Return its address for the other servers."""
        return self.host.run(ADDRESS, changes=False).strip()


def set_up(ctx: Context, hosts: Sequence[Host], stack: str, whole: bool) -> Iterator[str]:
    """Make one Swarm of the servers; yield a line for each change.

    A server that was reinstalled joins the Swarm of the others again, also the first.

    Args:
        whole: these are all servers of the stack.
    Raises TaskError for a server that is in another Swarm.
    """
    dockers = [Swarm(ctx, host.docker()) for host in hosts]
    with ThreadPoolExecutor(len(hosts)) as pool:
        infos = list(pool.map(_info, dockers))
    servers = list(map(Server, hosts, dockers, infos))
    manager = next((each for each in servers if each.swarm.get("ControlAvailable")), None)
    if manager is None:
        manager = servers[0]
        yield from _init(manager)
    nodes = manager.docker.nodes()
    for number, server in enumerate(servers):
        if server is not manager:
            role = "manager" if number < wanted_managers(len(hosts)) else "worker"
            yield from _join(server, manager, nodes, role)
    nodes = _wait_ready(manager.docker, servers)
    names = {server.swarm["NodeID"]: server.host.name for server in servers}
    yield from labels.mark(manager.docker, nodes, names, stack, whole)


def wanted_managers(hosts: int) -> int:
    """Return how many of the servers manage the Swarm: an odd number, for a clear majority.

    https://docs.docker.com/engine/swarm/admin_guide/#add-manager-nodes-for-fault-tolerance
    """
    return min(5, hosts - 1 + hosts % 2)


def _init(first: Server) -> Iterator[str]:
    if first.swarm["LocalNodeState"] != "inactive":
        what = f"{first.host.name} is in a Swarm, but not as a manager"
        raise TaskError(what, "docker node promote it, or docker swarm leave there")
    address = first.address()
    # The overlay networks' addresses; Docker's own choice is 10.0.0.0/8.
    pool = ["--default-addr-pool", "172.31.0.0/16"] if address.startswith("10.") else []
    first.docker.run("swarm", "init", "--advertise-addr", address, *pool)
    first.info = first.docker.info()
    yield f"{first.host.name}: a new Swarm, at {address}"


def _join(server: Server, manager: Server, nodes: Sequence[Node], role: str) -> Iterator[str]:
    name = server.host.name
    if server.swarm["LocalNodeState"] != "inactive":
        if server.swarm["NodeID"] in {node["ID"] for node in nodes}:
            return
        hint = "docker swarm leave there, or remove it from `hosts`"
        raise TaskError(f"{name} is in another Swarm", hint)
    address = server.address()
    if _forget(manager.docker, nodes, server.info["Name"], address):
        yield f"{name}: had left the Swarm; removed its former node"
    token = manager.docker.run("swarm", "join-token", "--quiet", role).strip()
    where = ["--advertise-addr", address, f"{manager.swarm['NodeAddr']}:2377"]
    try:
        server.docker.run("swarm", "join", "--token", token, *where)
    finally:
        # It was in an argument, which other users of this machine may have seen.
        manager.docker.run("swarm", "join-token", "--quiet", "--rotate", role)
    server.info = server.docker.info()
    yield f"{name}: joined as {role}"


def _info(docker: Swarm) -> Mapping[str, Any]:
    """Return what an engine says of itself, once its managers have found each other."""

    def settled() -> Mapping[str, Any]:
        info = docker.info()
        return {} if info["Swarm"]["LocalNodeState"] == "pending" else info

    return wait_until(settled, READY)


def _wait_ready(manager: Swarm, servers: Sequence[Server]) -> list[Node]:
    """Wait until the servers' nodes are ready; return all nodes. Raises TaskError otherwise."""
    mine = {server.swarm["NodeID"] for server in servers}

    def ready() -> list[Node]:
        nodes = manager.nodes()
        states = [node["Status"]["State"] for node in nodes if node["ID"] in mine]
        return nodes if states == ["ready"] * len(mine) else []

    try:
        return wait_until(ready, READY)
    except TimeoutError:
        what = f"not every server is ready in the Swarm after {READY} s"
        raise TaskError(what, "docker node ls on a manager shows which") from None


def _forget(swarm: Swarm, nodes: Iterable[Node], name: str, address: str) -> bool:
    """Remove the former nodes of a server that left the Swarm; return whether there were any."""
    mine = [node for node in nodes if node["Description"]["Hostname"] == name]
    left = [
        each for each in mine if each["Status"]["State"] == "down" or address in _addresses(each)
    ]
    for node in left:
        if node.get("ManagerStatus"):
            swarm.run("node", "demote", node["ID"])
        swarm.run("node", "rm", "--force", node["ID"])
    return bool(left)


def _addresses(node: Node) -> set[str]:
    """Return a node's addresses; a leader's is only in its manager status."""
    manager = node.get("ManagerStatus", {}).get("Addr", "")
    return {node["Status"].get("Addr", ""), manager.rpartition(":")[0]}
