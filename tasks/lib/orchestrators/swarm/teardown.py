"""A stack is removed from a Swarm, with what belongs to it on every server."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import TaskError
from ...ssh.host import Host
from ..engine import RUN
from . import labels, ownership
from .client import Swarm, of

# Seconds until all of a stack's containers must have stopped, beyond their own time to do so; and
# until its network is gone.
TIMEOUT = 120
POLL = 0.3
LEFT = (
    "volumes of {stack} stay on {node}, which is down or not in `hosts` - run this again once it "
    "is reached, or there: docker volume ls -q -f name=^{stack}_ | xargs docker volume rm"
)


def remove(swarm: Swarm, hosts: Sequence[Host], stack: str, volumes: bool) -> list[str]:
    """Remove a stack; with volumes its data, its secrets and its labels, too.

    Returns a line for each node that may still have volumes of it. Those keep their labels.
    Raises TaskError for what is still in use when its time is over.
    """
    seconds = patience(swarm.services(stack).values())
    swarm.remove_services(swarm.ids("service", of(stack)))
    _wait_stopped(swarm, hosts, stack, seconds)
    for name in swarm.ids("network", of(stack)):
        swarm.remove("network", name, TIMEOUT)
    for kind in ("config", *(["secret"] if volumes else [])):
        for name in ownership.ids(swarm, kind, stack):
            swarm.remove(kind, name, TIMEOUT)
    if not volumes:
        return []
    reached = _remove_volumes(swarm, hosts, stack)
    nodes = swarm.nodes()
    left = labels.outside(nodes, stack, reached)
    for node in nodes:
        if node not in left:
            labels.forget(swarm, node, stack)
    return [LEFT.format(node=node["Description"]["Hostname"], stack=stack) for node in left]


def patience(services: Iterable[Mapping[str, Any]]) -> float:
    """Return how many seconds services may take to stop: a worker waits for its jobs."""
    specs = (each["Spec"]["TaskTemplate"]["ContainerSpec"] for each in services)
    return TIMEOUT + max((each.get("StopGracePeriod", 0) for each in specs), default=0) / 10**9


def _wait_stopped(swarm: Swarm, hosts: Sequence[Host], stack: str, seconds: float) -> None:
    """Wait until no server has a container of the stack: one may finish what it began."""
    deadline = time.monotonic() + seconds
    for host in hosts:
        docker = Swarm(swarm.ctx, host.docker())
        while docker.ids("container", of(stack), *RUN) and not swarm.ctx.config.run.dry:
            if time.monotonic() > deadline:
                raise TaskError(f"containers of {stack} still run on {host.name}", "retry")
            time.sleep(POLL)


def _remove_volumes(swarm: Swarm, hosts: Sequence[Host], stack: str) -> set[str]:
    """Delete the stack's volumes on every server; return the IDs of the servers' nodes."""
    reached = set()
    for host in hosts:
        docker = Swarm(swarm.ctx, host.docker())
        for name in docker.names("volume", f"name={stack}_"):
            if name.startswith(f"{stack}_"):
                docker.remove("volume", name, TIMEOUT)
        reached.add(docker.info()["Swarm"].get("NodeID", ""))
    return reached
