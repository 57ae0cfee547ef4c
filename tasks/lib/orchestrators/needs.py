"""What an orchestrator needs of servers before it can be set up there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ..provisioning.firewall import Traffic
from ..provisioning.item import Item


@dataclass(frozen=True)
class Needs:
    """What an orchestrator needs of servers that have nothing but sshd and sudo.

    Args:
        items: those of each server.
        traffic: what only the servers may send each other.
        held: packages that no unattended upgrade may touch, as it would stop containers.
    """

    items: Sequence[Sequence[Item]]
    traffic: Traffic = field(default_factory=Traffic)
    held: Collection[str] = ()
