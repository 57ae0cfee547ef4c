"""How far the services of a stack are, judged from what docker says of them and their tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ENDED_BADLY = {"failed", "rejected"}
# A replica is to go on for ever. One that is stopped for being unhealthy may say that all is well.
ENDED = ENDED_BADLY | {"complete"}
# Nanoseconds that Swarm gives a container to stop, when nothing else is said.
GRACE = 10 * 10**9
# States of an update in which Swarm has given it up.
GIVEN_UP = {"paused", "rollback_started", "rollback_paused", "rollback_completed"}


@dataclass(frozen=True)
class Snapshot:
    """What there was before: the tasks' IDs, and how each service's last update stood.

    Args:
        going_back: what fails now may be of the version that goes, and Swarm may be rolling back to
            the one that is wanted: neither is a failure.
        ended: those of the tasks that were meant to run no more.
    """

    tasks: frozenset[str]
    updates: Mapping[str, Any]
    going_back: bool = False
    ended: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Progress:
    """How far a service is.

    Args:
        wanted, healthy, starting, old: replicas.
        failed: a new task that ended badly.
        given_up: Swarm's word that it gave the update up.
        waits: why a new task is on no server yet.
    """

    service: str
    wanted: int
    healthy: int
    starting: int
    old: int
    failed: Mapping[str, Any] | None
    given_up: str
    waits: str = ""

    @property
    def done(self) -> bool:
        """Whether all replicas are new and healthy, and no other is meant to run.

        Swarm, when an update is taken back while it restarts a replica, may leave that twice until
        the next update.
        """
        return self.healthy >= self.wanted and not self.starting and not self.old

    def __str__(self) -> str:
        parts = [f"{self.healthy}/{self.wanted} healthy"]
        why = f" ({self.waits})" if self.waits else ""
        parts += [f"{self.starting} starting{why}"] if self.starting else []
        parts += [f"{self.old} old"] if self.old else []
        return ", ".join(parts)


def standing(
    services: Mapping[str, Mapping[str, Any]], tasks: Iterable[Mapping[str, Any]]
) -> list[Progress]:
    """How far each service is while no deploy is going on, in the order of their names."""
    tasks = list(tasks)
    nothing_new = Snapshot(frozenset(each["ID"] for each in tasks), {})
    return [judge(name, each, tasks, nothing_new) for name, each in sorted(services.items())]


def judge(
    name: str, service: Mapping[str, Any], tasks: Iterable[Mapping[str, Any]], before: Snapshot
) -> Progress:
    """How far a service is, from what docker says of it and of its tasks."""
    template = service["Spec"]["TaskTemplate"]
    mine = [each for each in tasks if each["ServiceID"] == service["ID"]]
    meant = [each for each in mine if each["DesiredState"] in {"running", "ready"}]
    new = [each for each in meant if same(each["Spec"], template)]
    healthy = [each for each in new if each["Status"]["State"] == "running"]
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
        failed=next(failed, None),
        given_up=update.get("Message") or state if state in GIVEN_UP else "",
        waits=next((each["Status"]["Err"] for each in new if _waits(each)), ""),
    )


def _waits(task: Mapping[str, Any]) -> bool:
    return task["Status"]["State"] == "pending" and bool(task["Status"].get("Err"))


def same(task: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Whether a task was made from a service's template as it is now."""
    keys = ("ContainerSpec", "Resources", "Placement", "ForceUpdate")
    return all(_given(task.get(key)) == _given(template.get(key)) for key in keys)


def _given(part: Any) -> Any:
    """A part of a template without what a service's has and a task's has not: the defaults."""
    if not isinstance(part, dict):
        return part or None
    given = {key: each for key, each in part.items() if each}
    if given.get("StopGracePeriod") == GRACE:
        del given["StopGracePeriod"]
    return given or None


def describe(task: Mapping[str, Any]) -> str:
    """How a task stands or ended, in Swarm's words, with its exit code."""
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
