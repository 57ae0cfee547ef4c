"""The state of a stack's services, judged from what docker says of them and their tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...docker.retry import is_passing
from ..stack import HISTORY, RELEASE
from ..status import Failure, Node, Progress, Service
from .running import spec

ENDED_BADLY = {"failed", "rejected"}
# A replica must never end. One that is stopped for being unhealthy may exit with 0.
ENDED = ENDED_BADLY | {"complete"}
# Nanoseconds that Swarm gives a container to stop by default.
GRACE = 10 * 10**9
# States of an update that Swarm has given up.
GIVEN_UP = {"paused", "rollback_started", "rollback_paused", "rollback_completed"}


@dataclass(frozen=True)
class Snapshot:
    """What there was before: the tasks' IDs, and the state of each service's last update.

    Args:
        going_back: it is an undo: a replica of the version that goes may fail, and Swarm may be
            rolling back by itself; neither is a failure.
    """

    tasks: frozenset[str]
    updates: Mapping[str, Any]
    going_back: bool = False


def observed(name: str, service: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> Service:
    """Return a service as it runs while no deploy is under way."""
    mine = [task for task in tasks if task["ServiceID"] == service["ID"]]
    nothing_new = Snapshot(frozenset(task["ID"] for task in mine), {})
    running = (task for task in mine if task["Status"]["State"] == "running")
    progress = judge(name, service, mine, nothing_new)
    image = service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    labels = service["Spec"]["Labels"]
    release, history = (labels.get(label, "") for label in (RELEASE, HISTORY))
    nodes = sorted({task["NodeID"] for task in running})
    known = (name, image, release, progress, history, nodes, spec(service))
    return Service(*known, labels=labels)


def node(found: Mapping[str, Any]) -> Node:
    """Return a node, from what docker says of it."""
    spec, about, state = found["Spec"], found["Description"], found["Status"]["State"]
    state += "" if spec["Availability"] == "active" else f", {spec['Availability']}"
    role = "leader" if found.get("ManagerStatus", {}).get("Leader") else spec["Role"]
    return Node(found["ID"], about["Hostname"], state, role, about["Engine"]["EngineVersion"])


def judge(
    name: str, service: Mapping[str, Any], tasks: Iterable[Mapping[str, Any]], before: Snapshot
) -> Progress:
    """Return the state of a service, from what docker says of it and of its tasks.

    Swarm may leave a replica twice until the next update, when an update is taken back while it
    restarts that replica.
    """
    template = service["Spec"]["TaskTemplate"]
    mine = [each for each in tasks if each["ServiceID"] == service["ID"]]
    meant = [each for each in mine if each["DesiredState"] in {"running", "ready"}]
    new = [each for each in meant if same(each["Spec"], template)]
    healthy = [each for each in new if each["Status"]["State"] == "running"]
    waiting = (each["Status"] for each in new if each["Status"]["State"] == "pending")
    failed = (
        each
        for each in mine
        if each["Status"]["State"] in ENDED
        and each["ID"] not in before.tasks
        and (not before.going_back or same(each["Spec"], template))
    )
    update = service.get("UpdateStatus") or {}
    fresh = update != (before.updates.get(name) or {})
    state = update.get("State", "") if fresh and not before.going_back else ""
    return Progress(
        name,
        wanted=service["Spec"]["Mode"].get("Replicated", {}).get("Replicas", len(meant)),
        healthy=len(healthy),
        starting=len(new) - len(healthy),
        old=len(meant) - len(new),
        failed=next((Failure(describe(each), each, has_not_begun(each)) for each in failed), None),
        given_up=update.get("Message") or state if state in GIVEN_UP else "",
        waits=next(filter(None, (each.get("Err") for each in waiting)), ""),
    )


def same(task: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Return whether a task was made from a service's template as it is now."""
    keys = ("ContainerSpec", "Resources", "Placement", "ForceUpdate")
    return all(_given(task.get(key)) == _given(template.get(key)) for key in keys)


def _given(part: Any) -> Any:
    """Return a part of a template without the defaults, which only a service's has."""
    if not isinstance(part, dict):
        return part or None
    given = {key: each for key, each in part.items() if each}
    if given.get("StopGracePeriod") == GRACE:
        del given["StopGracePeriod"]
    return given or None


def has_not_begun(task: Mapping[str, Any]) -> bool:
    """Return whether a task's engine could not start its container, and another try may."""
    status = task["Status"]
    return status["State"] in ENDED_BADLY and is_passing(status.get("Err") or "")


def describe(task: Mapping[str, Any]) -> str:
    """Return a task's state or end in Swarm's words, with its exit code."""
    status = task["Status"]
    why = status.get("Err") or status.get("Message") or status["State"]
    if why.startswith("No such image"):
        why += " (its server could not pull it)"
    code = (status.get("ContainerStatus") or {}).get("ExitCode")
    known = f"exit code {code}" if code and f"({code})" not in why else ""
    slot = f"replica {task['Slot']} " if task.get("Slot") else ""
    if status["State"] == "complete":
        return f"{slot}ended (exit code 0)"
    return f"{slot}{status['State']}: {why}" + (f" ({known})" if known else "")
