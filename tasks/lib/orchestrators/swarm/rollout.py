"""A rollout on a Swarm: what there was before, and what there is now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..stack import Stack
from ..status import Failure, Progress
from . import tasks
from .client import Swarm
from .progress import Snapshot, describe, judge


class SwarmRollout:
    """One rollout; see base.Rollout."""

    def __init__(self, swarm: Swarm, stack: Stack, back: bool, prune: bool) -> None:
        self._swarm, self._stack, self._prune = swarm, stack, prune
        self._before = snapshot(swarm, stack.name, back)
        self._services: Mapping[str, Any] = {}
        self._watcher: tasks.TaskWatcher | None = None

    def apply(self) -> None:
        """Deploy the stack."""
        self._swarm.apply(self._stack, self._prune)

    def progress(self) -> list[Progress] | None:
        """Return the state of every service; None if nothing changed since the last call."""
        if not (watcher := self._watcher):
            self._look()
            watcher = tasks.TaskWatcher(self._swarm, self._services.values(), self._before.ended)
        if not watcher.changed():
            return None
        if self._watcher:
            self._look()
        self._watcher = watcher
        pairs = sorted(self._services.items())
        return [judge(name, service, watcher.tasks, self._before) for name, service in pairs]

    def _look(self) -> None:
        self._services = self._swarm.services(self._stack.name, self._stack.services)

    def stuck(self) -> Failure | None:
        """Return a new replica that does not start."""
        found = tasks.inspect(self._swarm, self._services.values(), self._before.ended)
        waiting = (
            task
            for task in found
            if task["ID"] not in self._before.tasks and task["Status"]["State"] != "running"
        )
        return next((Failure(describe(task), task) for task in waiting), None)


def snapshot(swarm: Swarm, stack: str, back: bool) -> Snapshot:
    """Return what runs now."""
    services = swarm.services(stack)
    known = tasks.listed(swarm, services.values())
    updates = {name: service.get("UpdateStatus") for name, service in services.items()}
    ended = frozenset(task for task, listed in known.items() if listed.meant == "Shutdown")
    return Snapshot(frozenset(known), updates, back, ended)
