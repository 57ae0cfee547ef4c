"""A stack's containers, looked at again and again: how long each is healthy, and which fails."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..status import Failure
from .containers import Container
from .server import Server

# Seconds that a new container must have been healthy; without a health check, have run.
STEADY, UNCHECKED = 1, 5


class Watched:
    """The containers of a stack.

    Args:
        all: what there was at the last look.
        started: those that ran before, and those that were started since: only these can fail.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.all = server.containers()
        self.started = {each.id for each in self.all if not each.ended}
        self._restarts = {each.id: each.facts["RestartCount"] for each in self.all}
        self._since: dict[str, float] = {}

    def look(self) -> None:
        """Look at them again."""
        self.all, now = self._server.containers(), time.monotonic()
        self.started |= {each.id for each in self.all if not each.ended}
        for each in self.all:
            if not each.healthy:
                self._since.pop(each.id, None)
            else:
                self._since.setdefault(each.id, now)

    def steady(self, container: Container) -> bool:
        """Return whether a container is healthy, and has been for a while."""
        since = self._since.get(container.id)
        wanted = STEADY if container.health else UNCHECKED
        return since is not None and time.monotonic() - since >= wanted

    def failure(self, containers: Sequence[Container]) -> Failure | None:
        """Return a container that failed: each must run, and never restart."""
        begun = [each for each in containers if each.id in self.started]
        found = ((each.failure(self._restarts.get(each.id, 0)), each) for each in begun)
        return next((Failure(why, each.facts) for why, each in found if why), None)
