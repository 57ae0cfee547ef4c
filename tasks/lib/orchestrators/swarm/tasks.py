"""The tasks of a Swarm's services, as docker lists and inspects them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ...docker.cli import DockerError
from .client import Swarm

# The states, as docker lists them, of a task that is about to run:
# https://docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states/
COMING = {"New", "Pending", "Assigned", "Accepted", "Preparing", "Ready", "Starting"}
# What docker says of a task that Swarm has removed since it was listed.
FORGOTTEN = ("no such task", "not found")
# What `docker service ps` prints for a task: an error may have several lines.
LISTING = "{{.ID}}\t{{.DesiredState}}\t{{.CurrentState}}\t{{json .Error}}"


class Listed(NamedTuple):
    """A task as docker lists it; its state is empty while it is about to run."""

    meant: str
    state: str
    error: str


def listing(shown: str) -> dict[str, Listed]:
    """Read docker's list of tasks, by ID."""
    found = {}
    for line in shown.splitlines():
        task, meant, state, error = line.split("\t")
        # What follows is how long ago that began.
        state = state.partition(" ")[0]
        found[task] = Listed(meant, "" if state in COMING else state, error)
    return found


def listed(swarm: Swarm, services: Iterable[Mapping[str, Any]]) -> dict[str, Listed]:
    """Return the tasks of services by ID, with those that have ended not long ago."""
    # With names docker would ask for each one by itself.
    ids = [service["ID"] for service in services]
    words = ("service", "ps", "--no-resolve", "--no-trunc", "--format", LISTING)
    return listing(swarm.query(*words, *ids)) if ids else {}


def inspect(
    swarm: Swarm, services: Iterable[Mapping[str, Any]], but: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return what docker knows of the tasks of services now; see TaskWatcher."""
    watcher = TaskWatcher(swarm, services, but)
    watcher.changed()
    return watcher.tasks


class TaskWatcher:
    """Watches services' tasks, `but` some; re-inspects only those whose listing changed."""

    def __init__(
        self, swarm: Swarm, services: Iterable[Mapping[str, Any]], but: Collection[str] = ()
    ) -> None:
        self._swarm, self._services, self._but = swarm, list(services), but
        self._seen: dict[str, Listed] | None = None
        self._known: dict[str, dict[str, Any]] = {}

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """What docker knew of each task at its last change."""
        return list(self._known.values())

    def changed(self) -> bool:
        """Look again; return whether anything changed since the last call (the first: True)."""
        pauses = iter((0.2, 0.5, 2))
        while (now := listed(self._swarm, self._services)) != self._seen:
            before = self._seen or {}
            fresh = [key for key in now if before.get(key) != now[key] and key not in self._but]
            try:
                found = {task["ID"]: task for task in self._swarm.inspect("task", fresh)}
            except DockerError as error:
                # One was removed since it was listed.
                output, pause = error.stderr.lower(), next(pauses, None)
                if pause is None or not any(sign in output for sign in FORGOTTEN):
                    raise
                time.sleep(pause)
                continue
            kept = {key: task for key, task in self._known.items() if key in now}
            self._seen, self._known = now, kept | found
            return True
        return False
