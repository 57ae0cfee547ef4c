"""Why a replica failed, in its own words: its last lines, and its health check's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from . import console
from .swarm import Swarm

if TYPE_CHECKING:
    from .target import Target


def tell(there: Target, error: BaseException) -> None:
    """Show what the failed replica says of itself: its last lines, and its health check's."""
    task = getattr(error, "task", None)
    if not task:
        return
    node, host = there.places.get(task.get("NodeID", ""), ("an unknown node", None))
    console.say(f"  on {node}; its last lines:")
    for line in there.swarm.logs(task["ID"], 15):
        console.say(f"    {line}")
    container = (task["Status"].get("ContainerStatus") or {}).get("ContainerID")
    if not host or not container:
        return
    with host.docker() as env:
        said = _health(there, env, container)
    for line in said:
        console.say(f"  health check: {line}")


def _health(there: Target, env: dict[str, str], container: str) -> list[str]:
    """The last words of a container's health check, if it is still there."""
    try:
        found = Swarm(there.ctx, env).ask(
            "inspect", "--format", "{{json .State.Health}}", container
        )
    except Exception:
        return []
    log = (json.loads(found) or {}).get("Log") or []
    return [log[-1]["Output"].strip()] if log and log[-1]["ExitCode"] else []
