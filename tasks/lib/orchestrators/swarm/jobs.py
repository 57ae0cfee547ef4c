"""One-off jobs on a Swarm: services that are never restarted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...docker.retry import again
from ..base import Job
from ..jobs import Runner
from ..stack import Stack
from .client import STACK, Swarm
from .progress import ENDED_BADLY, describe
from .rendering import JOBS, render_jobs
from .tasks import TaskWatcher


class SwarmJobs(Runner):
    """Some jobs of a stack; each is known by its service."""

    def __init__(self, swarm: Swarm, stack: Stack, jobs: Sequence[Job]) -> None:
        self._swarm, self._jobs, self._names = swarm, render_jobs(stack, jobs), [*jobs]
        self._stack, self._mine = stack.name, list[str]()
        self._watcher = TaskWatcher(swarm, [])

    def clear(self) -> None:
        clear(self._swarm, self._stack)

    def start(self) -> list[Mapping[str, Any]]:
        self._swarm.apply(self._jobs)
        services = self._swarm.services(self._jobs.name, self._jobs.services)
        self._mine = [f"id={service['ID']}" for service in services.values()]
        self._watcher = TaskWatcher(self._swarm, services.values())
        return [services[job.name] for job in self._names]

    def look(self) -> None:
        self._watcher.changed()

    def verdict(self, handle: Mapping[str, Any]) -> tuple[bool, str]:
        return verdict([task for task in self._watcher.tasks if task["ServiceID"] == handle["ID"]])

    def lines(self, handle: Mapping[str, Any]) -> list[str]:
        return self._swarm.logs(handle["Spec"]["Name"])

    def remove(self) -> bool:
        if self._mine:
            _clear(self._swarm, *self._mine)
        return bool(self._mine)


def clear(swarm: Swarm, stack: str) -> None:
    """Remove the jobs of a stack, whether they run or have ended."""
    _clear(swarm, f"label={STACK}={stack}{JOBS}")


def _clear(swarm: Swarm, *filters: str) -> None:
    again(lambda: swarm.remove_services(swarm.ids("service", *filters)))


def verdict(tasks: Sequence[Mapping[str, Any]]) -> tuple[bool, str]:
    """Return whether a job has ended, and how it failed, if it did."""
    bad = next((task for task in tasks if task["Status"]["State"] in ENDED_BADLY), None)
    if bad:
        return True, describe({**bad, "Slot": None})
    going = [task for task in tasks if task["Status"]["State"] != "complete"]
    # Swarm does not start it elsewhere, and calls it lost only after a day.
    if any(task["DesiredState"] == "shutdown" for task in going):
        return True, "failed: its server went away"
    return bool(tasks) and not going, ""
