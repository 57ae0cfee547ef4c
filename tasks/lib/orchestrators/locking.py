"""The lock of a stack, as orchestrators that keep it in leases have it."""

from __future__ import annotations

from typing import Protocol

from .base import Orchestrator
from .status import Lease


class LeaseStore(Protocol):
    """Keeps the leases of a stack; base.Orchestrator says what each method promises."""

    def newest(self) -> Lease | None:
        """Return the newest lease; None if there is none."""

    def take(self, former: Lease | None, text: str) -> Lease | None:
        """Make the lease after the newest one, if that is still `former`."""

    def drop(self, text: str) -> None:
        """Remove the leases with a text."""


class Leased(Orchestrator):
    """An orchestrator whose lock is in a store of leases."""

    _leases: LeaseStore

    def lease(self) -> Lease | None:
        return self._leases.newest()

    def take_lease(self, former: Lease | None, text: str) -> Lease | None:
        return self._leases.take(former, text)

    def drop_lease(self, text: str) -> None:
        self._leases.drop(text)
