"""The rollout: a stack is applied and watched until all of it is new and healthy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from .. import console
from ..environments.connection import Target
from ..errors import TaskError
from ..orchestrators.base import Guard, Rollout
from ..orchestrators.stack import Stack
from ..orchestrators.status import Failure, Progress

# Seconds between two looks while all is well: each look costs the server some work.
CALM = 1.0


class RolloutError(TaskError):
    """A rollout failed.

    Args:
        failure: the replica that shows why.
    """

    def __init__(self, what: str, failure: Failure | None = None) -> None:
        super().__init__(what)
        self.failure = failure


def roll(
    target: Target,
    stack: Stack,
    soak: float,
    guard: Guard,
    back: bool = False,
    prune: bool = True,
) -> None:
    """Apply a stack, and watch it until every service is new and healthy.

    Args:
        soak: seconds that it must stay healthy.
        back: it is an undo.
        prune: remove the services that the stack does not have.
    Raises RolloutError when it fails.
    """
    rollout = target.orchestrator.rollout(stack, back, prune)
    guard.confirm()
    rollout.apply()
    watch(rollout, target.settings.deploy.timeout, soak, guard, target.orchestrator.poll)


def watch(rollout: Rollout, timeout: float, soak: float, guard: Guard, poll: float) -> None:
    """Wait until every service is new and healthy, and for `soak` seconds stays so.

    Raises RolloutError as soon as a replica fails or the update is given up, or after `timeout`
    seconds.
    """
    began = time.monotonic()
    healthy_since: float | None = None
    table = console.LiveTable()
    services: Sequence[Progress] = []
    while True:
        guard.check()
        if (changed := rollout.progress()) is not None:
            services = changed
            table.show([(service.service, str(service)) for service in services])
            _check(services)
        now = time.monotonic()
        healthy = bool(services) and all(service.done for service in services)
        healthy_since = (healthy_since or now) if healthy else None
        left = soak if healthy_since is None else soak - (now - healthy_since)
        if healthy_since is not None and left <= 0:
            return
        if now - began > timeout:
            late = "; ".join(f"{each.service} {each}" for each in services if not each.done)
            raise RolloutError(f"not healthy within {timeout} s: {late}", rollout.stuck())
        time.sleep(poll if healthy_since is None else min(CALM, left))


def _check(services: Iterable[Progress]) -> None:
    """Raise RolloutError when a service has failed."""
    for service in services:
        if service.failed:
            raise RolloutError(f"{service.service}: {service.failed.reason}", service.failed)
        if service.given_up:
            raise RolloutError(f"{service.service}: {service.given_up}")
