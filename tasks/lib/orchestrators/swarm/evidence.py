"""What is left of a replica that failed: its node, its last lines, its health check's output.

Nothing here raises: what cannot be read must not keep a deploy from being undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ...errors import explain
from ...ssh.host import Host
from ..evidence import LAST, complaint
from ..status import Evidence, Failure
from .client import Swarm


def collect(swarm: Swarm, hosts: Sequence[Host], failure: Failure) -> Evidence:
    """Return what is left of a failed replica."""
    task = failure.handle
    try:
        lines = swarm.logs(task["ID"], LAST)
    except Exception as error:
        lines = [f"they cannot be read: {explain(error)}"]
    with suppress(Exception):
        for host in hosts:
            docker = Swarm(swarm.ctx, host.docker())
            if docker.info()["Swarm"]["NodeID"] == task["NodeID"]:
                return Evidence(host.name, _health(docker, task), lines)
    return Evidence("an unknown node", "", lines)


def _health(docker: Swarm, task: Mapping[str, Any]) -> str:
    """Return what a replica's health check printed, if its container still exists."""
    container = (task["Status"].get("ContainerStatus") or {}).get("ContainerID")
    with suppress(Exception):
        if container:
            (found,) = docker.inspect("container", [container])
            return complaint((found["State"].get("Health") or {}).get("Log") or [])
    return ""
