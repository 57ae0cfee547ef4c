"""What keeps leases: those of a stack's lock, and of the queue for it."""

from __future__ import annotations

from typing import Protocol

from .status import Lease


class LeaseStore(Protocol):
    """Keeps a chain of leases; base.Orchestrator says what each method promises."""

    def newest(self) -> Lease | None:
        """Return the newest lease; None if there is none."""

    def take(self, former: Lease | None, text: str) -> Lease | None:
        """Make the lease after the newest one, if that is still `former`."""

    def drop(self, text: str) -> None:
        """Remove the leases with a text."""
