"""What is asked of an environment from beside it: of its replicas, and for another stack there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol, Self


class Neighbours(Protocol):
    """Reaches into a stack's replicas, and to the stacks beside it."""

    def inside(self, service: str, script: str) -> str | None:
        """Return what a script that changes nothing prints in a replica; None without one."""

    def feed(self, service: str, script: str, write: Callable[[BinaryIO], None]) -> str | None:
        """Return what a script prints that reads what `write` writes; None without a replica."""

    def begin(self, service: str, script: str, **streams: Any) -> subprocess.Popen[bytes] | None:
        """Start a script in a replica, with the streams of subprocess.Popen; None without one."""

    def beside(self, stack: str) -> Self:
        """Return what runs another stack on the same servers."""

    def address(self, service: str) -> str:
        """Return the name by which DNS knows all replicas of a service, to all on its network."""
