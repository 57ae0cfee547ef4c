"""The lock of a stack, as orchestrators that keep it in leases have it."""

from __future__ import annotations

from .base import Orchestrator
from .lease_store import LeaseStore
from .status import Lease


class Leased(Orchestrator):
    """An orchestrator whose lock, and the queue for it, are in stores of leases."""

    _leases: LeaseStore
    _queue: LeaseStore

    def lease(self) -> Lease | None:
        return self._leases.newest()

    def take_lease(self, former: Lease | None, text: str) -> Lease | None:
        return self._leases.take(former, text)

    def drop_lease(self, text: str) -> None:
        self._leases.drop(text)

    def waiting(self) -> LeaseStore:
        return self._queue
