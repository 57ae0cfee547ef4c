"""What must hold on a Swarm's servers before a deploy; nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ...docker.cli import DockerError
from ...project import contract
from ...ssh.host import Host
from ..preflight import engine_problem, full, machine, moved, outdated
from ..stack import STACK
from . import labels
from .client import Swarm

# Seconds that a server may take to be ready again after the managers have elected a leader, or
# after a lost heartbeat, which comes every 5 s.
BACK = 20


@dataclass
class Preflight:
    """Checks the servers of a stack, whose name is also the label of the node with its data.

    Args:
        absent: how many of its servers do not answer.
        ids: the IDs of the servers' nodes.
    """

    swarm: Swarm
    hosts: Sequence[Host]
    stack: str
    setup: str
    absent: int = 0
    ids: dict[str, str] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """Return every problem, a line each; all servers are asked at the same time."""
        with ThreadPoolExecutor(len(self.hosts) + 2) as pool:
            nodes, here = pool.submit(self.swarm.nodes), pool.submit(machine, self.swarm.ctx)
            found = [line for lines in pool.map(self._host, self.hosts) for line in lines]
            found += here.result()
        # Whether it manages a Swarm at all is among what was found.
        return found if nodes.exception() else found + self._members(nodes.result())

    def _members(self, nodes: Sequence[labels.Node]) -> list[str]:
        whole = not self.absent and len(self.ids) == len(self.hosts)
        return labels.problems(nodes, self.ids, self.stack, self.setup, whole)

    def _host(self, host: Host) -> list[str]:
        engine = Swarm(self.swarm.ctx, host.docker())
        try:
            info = engine.info()
            found = moved(engine, host.name, self.stack, STACK, "compose", "swarm")
        except DockerError as error:
            return [engine_problem(host, error.reason)]
        self.ids[host.name] = info["Swarm"].get("NodeID", "")
        found += outdated(host.name, info["ServerVersion"])
        if host is self.hosts[0]:
            found += self._manager(host.name, info)
        return found + full(host, info["DockerRootDir"])

    def _manager(self, name: str, info: Mapping[str, Any]) -> list[str]:
        label = f"{self.stack}={contract.HOME}"
        if problem := not_manager(name, info, self.setup):
            return [problem]
        deadline = time.monotonic() + BACK
        while homes := self.swarm.objects("node", f"node.label={label}"):
            if _up(homes) or time.monotonic() >= deadline:
                return home_problems(homes)
            time.sleep(0.5)
        return [f"no node is labelled {label} - {self.setup}"]


def not_manager(name: str, info: Mapping[str, Any], setup: str) -> str:
    """Return the problem of a server that does not manage a Swarm; empty if it does."""
    part = info.get("Swarm", {})
    state = part.get("LocalNodeState", "inactive")
    return (
        "" if part.get("ControlAvailable") else f"{name}: not a Swarm manager ({state}) - {setup}"
    )


def home_problems(homes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the problem of the nodes of the proxy and the database, if there is one."""
    up = _up(homes)
    first = (up or homes)[0]
    where = f"{first['Description']['Hostname']}, the node of the proxy and the database,"
    if not up:
        return [f"{where} is not ready ({first['Status']['State']}) - start Docker there"]
    if not any(node["Spec"]["Availability"] == "active" for node in up):
        hint = f"on a manager: docker node update --availability=active {first['ID']}"
        return [f"{where} accepts no tasks ({first['Spec']['Availability']}) - {hint}"]
    return []


def _up(nodes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [node for node in nodes if node["Status"]["State"] == "ready"]
