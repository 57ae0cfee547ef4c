"""The rollout: watch a stack until all of it is new and healthy, or it is known why not."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .. import console
from ..errors import TaskError
from ..orchestrators.swarm.client import Swarm, TaskWatcher
from ..orchestrators.swarm.progress import Progress, Snapshot, describe, judge

if TYPE_CHECKING:
    from ..environments.connection import Target
    from ..environments.lock import Lock
    from ..orchestrators.swarm.stack import Stack

# Seconds between two looks, and while all is well: each look costs the server some work, too.
POLL, CALM = 0.3, 1.0


class RolloutError(TaskError):
    """A rollout failed.

    Args:
        task: the task that shows why, as docker inspects it.
    """

    def __init__(self, what: str, task: Mapping[str, Any] | None = None) -> None:
        super().__init__(what)
        self.task = task


def snapshot(swarm: Swarm, stack: str, going_back: bool = False) -> Snapshot:
    """What there is now."""
    services = swarm.services(stack)
    tasks = swarm.listed(services.values())
    updates = {name: each.get("UpdateStatus") for name, each in services.items()}
    ended = frozenset(task for task, each in tasks.items() if each.meant == "Shutdown")
    return Snapshot(frozenset(tasks), updates, going_back, ended)


def watch(target: Target, stack: Stack, before: Snapshot, soak: float, lease: Lock) -> None:
    """Wait until every service is new and healthy, and for `soak` seconds stays so.

    Raises RolloutError as soon as a replica fails or Swarm gives up, or when the time is over.
    """
    limit = target.settings.deploy.timeout
    began = time.monotonic()
    good_since: float | None = None
    board = console.LiveTable()
    services = target.swarm.services(stack.name, stack.content["services"])
    watched = TaskWatcher(target.swarm, services.values(), before.ended)
    found: list[Progress] = []
    while True:
        lease.check()
        if watched.changed():
            # At first they were asked for just now.
            if found:
                services = target.swarm.services(stack.name, stack.content["services"])
            pairs = sorted(services.items())
            found = [judge(name, each, watched.tasks, before) for name, each in pairs]
            board.show([(each.service, str(each)) for each in found])
            _broken(found)
        now = time.monotonic()
        good_since = (good_since or now) if found and all(each.done for each in found) else None
        left = soak if good_since is None else soak - (now - good_since)
        if good_since is not None and left <= 0:
            return
        if now - began > limit:
            late = "; ".join(f"{each.service} {each}" for each in found if not each.done)
            tasks = target.swarm.tasks(services.values(), before.ended)
            raise RolloutError(f"not healthy within {limit} s: {late}", _stuck(tasks, before))
        time.sleep(POLL if good_since is None else min(CALM, left))


def _broken(found: Iterable[Progress]) -> None:
    """Raises RolloutError when a service has failed."""
    for each in found:
        if each.failed:
            raise RolloutError(f"{each.service}: {describe(each.failed)}", each.failed)
        if each.given_up:
            raise RolloutError(f"{each.service}: {each.given_up}")


def _stuck(tasks: Iterable[Mapping[str, Any]], before: Snapshot) -> Mapping[str, Any] | None:
    """A new task that does not come up."""
    waiting = (
        each
        for each in tasks
        if each["ID"] not in before.tasks and each["Status"]["State"] != "running"
    )
    return next(waiting, None)
