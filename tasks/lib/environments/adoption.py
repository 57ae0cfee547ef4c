"""A history is rebuilt from what runs: its folder was lost, damaged, or is elsewhere."""

from __future__ import annotations

from dataclasses import replace

from ..errors import ExitCode, TaskError
from ..images import deployed, promotion
from ..project import contract
from ..project.names import short
from . import lock, running
from .connection import Target
from .records import DAMAGED, GOOD, Record, next_number
from .running import Running


def adopt(target: Target) -> Record:
    """Record what runs as a release that succeeded; the services stay as they are.

    Raises TaskError with exit status 2 if nothing runs, or if the history knows it already.
    """
    now = running.look(target)
    if contract.APP not in now.services:
        raise TaskError("nothing runs", f"inv deploy --env={target.name}", ExitCode.REFUSED)
    damaged = now.record if now.record and now.record.state == DAMAGED else None
    if not (now.stranger or damaged):
        known = f"release {now.record.number}" if now.record else "what runs"
        raise TaskError(f"{known} is in the history: nothing to adopt", code=ExitCode.REFUSED)
    number = _number(now, damaged)
    stack = target.orchestrator.running().labelled(number, now.place)
    made = Record(number, stack.image, _revision(target, stack.image), lock.owner(), "adopted")
    # What a damaged record may have migrated cannot be known any more.
    final = [f"what release {number} migrated"] if damaged else []
    made = replace(made, final=final, why=damaged.why if damaged else now.stranger)
    deployed.remember(target.registry, short(target.name), number, made.digest)
    made = target.history.begin(made, stack)
    specs = {name: each.spec for name, each in now.services.items()}
    target.history.write_applied(made, specs)
    made = replace(made, state=GOOD)
    target.history.write(made)
    return made


def _number(now: Running, damaged: Record | None) -> int:
    """Return the number that the services bear, unless a record of something else has it."""
    label = now.services[contract.APP].release
    taken = {each.number for each in now.records} - {damaged.number if damaged else 0}
    if label.isdigit() and int(label) not in taken:
        return int(label)
    return next_number(now.records, now.services)


def _revision(target: Target, image: str) -> str:
    """Return the commit of an image; empty if the registry does not have it."""
    found = target.registry.find(image.rpartition("@")[2])
    return promotion.candidate(target.registry, found).revision if found else ""
