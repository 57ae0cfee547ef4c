"""Why a replica failed, in its own words: its last lines, and its health check's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import console
from ..errors import explain
from ..orchestrators.swarm.client import Swarm

if TYPE_CHECKING:
    from ..environments.connection import Target
    from ..ssh.host import Host


def report(target: Target, error: BaseException, why: str) -> str:
    """Show why a replica failed, and its last lines. Returns why, with its health check's words.

    Args:
        error: what may know of the replica.
        why: what is known without asking it.
    """
    task = getattr(error, "task", None)
    if not task:
        console.warn(f"{why}: undoing it")
        return why
    node, host = _place(target, task)
    said = _health(target, host, task) if host else ""
    why = f"{why}: {said}" if said else why
    console.warn(f"{why}: undoing it")
    console.say(f"  on {node}; its last lines:")
    for line in _lines(target, task["ID"]):
        console.say(f"    {line}")
    return why


# What cannot be learnt must not keep anybody from undoing it.
def _place(target: Target, task: Mapping[str, Any]) -> tuple[str, Host | None]:
    try:
        return target.places[task["NodeID"]]
    except Exception:
        return "an unknown node", None


def _lines(target: Target, task: str) -> list[str]:
    try:
        return target.swarm.logs(task, 15)
    except Exception as error:
        return [f"they cannot be read: {explain(error)}"]


def _health(target: Target, host: Host, task: Mapping[str, Any]) -> str:
    """What a replica's health check said as it failed, if its container is still there."""
    container = (task["Status"].get("ContainerStatus") or {}).get("ContainerID")
    if not container:
        return ""
    words = ("inspect", "--format", "{{json .State.Health}}", container)
    try:
        with host.docker() as env:
            found = json.loads(Swarm(target.ctx, env).run(*words)) or {}
    except Exception:
        return ""
    return complaint(found.get("Log") or [])


def complaint(log: Sequence[Mapping[str, Any]]) -> str:
    """What a health check said most since it failed; the last may only say that all is stopping."""
    failed: list[str] = []
    for each in log:
        failed = [*failed, " ".join(each["Output"].split())] if each["ExitCode"] else []
    return max(failed, key=failed.count, default="")
