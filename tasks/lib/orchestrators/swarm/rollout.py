"""A rollout on a Swarm: what there was before, and what there is now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base import Rollout
from ..stack import Stack
from ..status import Failure, Progress
from . import ownership, running, tasks
from .client import Swarm
from .progress import Snapshot, describe, judge


class SwarmRollout(Rollout):
    """One rollout on a Swarm."""

    def __init__(self, swarm: Swarm, stack: Stack, back: bool, prune: bool) -> None:
        self._swarm, self._stack, self._prune = swarm, stack, prune
        services = swarm.services(stack.name)
        known = tasks.inspect(swarm, services.values())
        updates = {name: service.get("UpdateStatus") for name, service in services.items()}
        self._ended = {task["ID"] for task in known if task["DesiredState"] == "shutdown"}
        self._before = Snapshot(frozenset(task["ID"] for task in known), updates, back)
        self._services: Mapping[str, Any] = services
        self._watcher: tasks.TaskWatcher | None = None

    def apply(self) -> dict[str, Any]:
        self._swarm.forget_images(self._services.values())
        ownership.keep(self._swarm, self._stack.name)
        self._swarm.apply(self._stack, self._prune)
        services = self._swarm.services(self._stack.name)
        return {name: running.spec(service) for name, service in services.items()}

    def progress(self) -> list[Progress] | None:
        if not (watcher := self._watcher):
            self._look()
            services = self._services.values()
            watcher = self._watcher = tasks.TaskWatcher(self._swarm, services, self._ended)
            watcher.changed()
        elif watcher.changed():
            self._look()
        else:
            return None
        pairs = sorted(self._services.items())
        return [judge(name, service, watcher.tasks, self._before) for name, service in pairs]

    def _look(self) -> None:
        self._services = self._swarm.services(self._stack.name, self._stack.services)

    def stuck(self) -> Failure | None:
        found = tasks.inspect(self._swarm, self._services.values(), self._before.tasks)
        waiting = (task for task in found if task["Status"]["State"] != "running")
        return next((Failure(describe(task), task) for task in waiting), None)
