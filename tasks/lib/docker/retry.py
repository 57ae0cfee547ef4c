"""Docker commands that are retried while the engine, its connection or its Swarm recovers."""

import time
from collections.abc import Callable
from typing import TypeVar

from .cli import DockerError

T = TypeVar("T")
# What docker says when an engine could not start a container, and another try may: moby#31698,
# moby#48783.
NOT_STARTED = ("device or resource busy", "network sandbox")
# What docker says when the connection breaks, when the managers elect a leader, and when Swarm
# changes a service at the same time; then the pauses in seconds before each retry.
PASSING = (
    *("error during connect", "cannot connect", "eof", "over ssh", "unable to upgrade to tcp"),
    *("engine does not answer", "leader", "raft:", "deadline exceeded", "update out of sequence"),
    *NOT_STARTED,
)
RETRIES = (0.2, 0.5, 1, 2, 4, 4)
# Seconds after which nothing is retried.
ENOUGH = 30


def is_passing(why: str) -> bool:
    """Return whether an engine could not start a container for a reason that may pass."""
    return any(sign in why.lower() for sign in NOT_STARTED)


def again(work: Callable[[], T]) -> T:
    """Return the result of work that may be done twice; retry it when its error may pass."""
    began = time.monotonic()
    for pause in RETRIES:
        try:
            return work()
        except DockerError as error:
            late = time.monotonic() - began > ENOUGH
            if late or not any(sign in error.stderr.lower() for sign in PASSING):
                raise
            time.sleep(pause)
    return work()
