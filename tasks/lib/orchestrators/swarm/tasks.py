"""The tasks of a Swarm's services."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .client import Swarm


def inspect(
    swarm: Swarm, services: Iterable[Mapping[str, Any]], but: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return what docker knows of the tasks of services, `but` some, which it names by their IDs.

    Those that have ended not long ago are among them.
    """
    ids = [f"service={service['ID']}" for service in services]
    found = swarm.objects("task", *ids) if ids else []
    return [task for task in found if task["ID"] not in but]


class TaskWatcher:
    """Watches services' tasks, `but` some."""

    def __init__(
        self, swarm: Swarm, services: Iterable[Mapping[str, Any]], but: Collection[str] = ()
    ) -> None:
        self._swarm, self._services, self._but = swarm, list(services), but
        self._seen: list[dict[str, Any]] | None = None

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """What docker knew of each task at its last change."""
        return self._seen or []

    def changed(self) -> bool:
        """Look again; return whether anything changed since the last call (the first: True)."""
        before, self._seen = self._seen, inspect(self._swarm, self._services, self._but)
        return self._seen != before
