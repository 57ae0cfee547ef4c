"""A deploy or rollback that waited for the lock: what it was meant for may have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import console
from ..environments.connection import Target
from ..environments.lock import Lock
from ..environments.records import GOOD, Record
from ..errors import ExitCode, TaskError
from ..images import promotion
from ..images.promotion import Candidate
from ..orchestrators.stack import Stack


@contextmanager
def to_deploy(
    target: Target, prepare: Callable[[], tuple[Candidate, Stack]], force: str
) -> Iterator[tuple[Lock, Candidate, Stack]]:
    """Hold the lock; give the image and its stack, prepared again if others had it meanwhile.

    Args:
        force: why an older commit may be deployed; the audit log has it.
    Raises TaskError with exit status 2 if a newer commit was deployed while this one waited: an
    older one never wins by coming late.
    """
    before = _newest(target)
    image, stack = prepare()
    with target.locked("deploys", str(image), force) as lock:
        if lock.waited:
            console.say("others had the lock meanwhile: checking all once more")
            image, stack = prepare()
            if not force:
                _refuse_older(target, image, before, _newest(target))
        yield lock, image, stack


@contextmanager
def to_roll_back(target: Target, number: str, force: str) -> Iterator[Lock]:
    """Hold the lock. Raises TaskError with exit status 2 if something was deployed meanwhile.

    What is before the release that runs would then be another than was meant, unless it has a
    number.

    Args:
        force: why an irreversible migration may be crossed; the audit log has it.
    """
    before = _newest(target)
    with target.locked("rolls back", number, force) as lock:
        now = _newest(target)
        if lock.waited and not number and now != before:
            made = f"release {now.number} of {now.by}" if now else "something"
            hint = f"see inv history --env={target.name}, then add --to=NUMBER"
            raise TaskError(f"{made} was deployed while this waited", hint, ExitCode.REFUSED)
        yield lock


def _newest(target: Target) -> Record | None:
    """Return the newest good release, if the lock may be waited for."""
    if not target.wait:
        return None
    return next((each for each in target.history.read() if each.state == GOOD), None)


def _refuse_older(
    target: Target, image: Candidate, before: Record | None, now: Record | None
) -> None:
    if now is None or now == before:
        return
    if other := promotion.later(target.registry, image, now.digest):
        what = f"{image} is older than {other}, which was deployed while this waited"
        hint = 'nothing is left to do, or --force "reason"'
        raise TaskError(what, hint, ExitCode.REFUSED)
