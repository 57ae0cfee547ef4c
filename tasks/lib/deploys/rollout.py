"""The rollout: a stack is applied and watched until all of it is new and healthy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .. import console
from ..environments.connection import Target
from ..errors import TaskError
from ..orchestrators.base import Guard, Rollout
from ..orchestrators.stack import Stack
from ..orchestrators.status import Failure, Progress

# Seconds between two looks while all is well: each look costs the server some work.
CALM = 1.0


class RolloutError(TaskError):
    """A rollout failed; `failure` is the replica that shows why."""

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
    applied: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> None:
    """Apply a stack and watch it; see watch, and Orchestrator.rollout for `back` and `prune`.

    A replica that its engine could not start is no failure of the stack: it is applied once more.

    Args:
        applied: is given the specs of what was applied.
    """
    for last in (False, True):
        rollout = target.orchestrator.rollout(stack, back, prune)
        guard.confirm()
        applied(rollout.apply())
        try:
            return watch(
                rollout, target.settings.deploy.timeout, soak, guard, target.orchestrator.poll
            )
        except RolloutError as error:
            if last or not (error.failure and error.failure.passing):
                raise
            console.warn(f"{error}; this may pass: once more")


def watch(rollout: Rollout, timeout: float, soak: float, guard: Guard, poll: float) -> None:
    """Wait until all services are new and healthy for `soak` seconds, and no old replica is left.

    Raises RolloutError as soon as a replica fails or the update is given up, or after `timeout`
    seconds.
    """
    began, since, table = time.monotonic(), 0.0, console.LiveTable()
    services: Sequence[Progress] = []
    while True:
        guard.check()
        if (changed := rollout.progress()) is not None:
            services = changed
            table.show([(service.service, str(service)) for service in services])
            _check(services)
        now = time.monotonic()
        healthy = bool(services) and all(service.done for service in services)
        since = (since or now) if healthy else 0.0
        left = since + soak - now
        leaving = any(service.leaving for service in services)
        if healthy and left <= 0 and not leaving:
            return
        if not healthy and now - began > timeout:
            late = "; ".join(f"{each.service} {each}" for each in services if not each.done)
            raise RolloutError(f"not healthy within {timeout} s: {late}", rollout.stuck())
        time.sleep(min(CALM, left) if healthy and not leaving else poll)


def _check(services: Iterable[Progress]) -> None:
    """Raise RolloutError when a service has failed."""
    for service in services:
        why = service.failed.reason if service.failed else service.given_up
        if why:
            raise RolloutError(f"{service.service}: {why}", service.failed)
