"""What is left of a replica that failed: its node, its last lines, its health check's output.

Nothing here raises: what cannot be read must not keep a deploy from being undone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import explain
from ...ssh.host import Host
from ..status import Evidence, Failure
from .client import Swarm

# How many lines of its log are shown.
LAST = 15
UNKNOWN = "an unknown node"


def collect(swarm: Swarm, hosts: Sequence[Host], failure: Failure) -> Evidence:
    """Return what is left of a failed replica."""
    task = failure.handle
    host = _locate(swarm, hosts, task)
    try:
        lines = swarm.logs(task["ID"], LAST)
    except Exception as error:
        lines = [f"they cannot be read: {explain(error)}"]
    if not host:
        return Evidence(UNKNOWN, "", lines)
    return Evidence(host.name, _health(swarm, host, task), lines)


def _locate(swarm: Swarm, hosts: Sequence[Host], task: Mapping[str, Any]) -> Host | None:
    """Return the server of a task."""
    try:
        for host in hosts:
            with host.docker() as env:
                if Swarm(swarm.ctx, env).info()["Swarm"]["NodeID"] == task["NodeID"]:
                    return host
    except Exception:
        return None
    return None


def _health(swarm: Swarm, host: Host, task: Mapping[str, Any]) -> str:
    """Return what a replica's health check printed, if its container still exists."""
    container = (task["Status"].get("ContainerStatus") or {}).get("ContainerID")
    if not container:
        return ""
    words = ("inspect", "--format", "{{json .State.Health}}", container)
    try:
        with host.docker() as env:
            found = json.loads(Swarm(swarm.ctx, env).run(*words)) or {}
    except Exception:
        return ""
    return complaint(found.get("Log") or [])


def complaint(log: Sequence[Mapping[str, Any]]) -> str:
    """Return what a health check printed most since it failed; the last may only say "stopping"."""
    failed: list[str] = []
    for check in log:
        failed = [*failed, " ".join(check["Output"].split())] if check["ExitCode"] else []
    return max(failed, key=failed.count, default="")
