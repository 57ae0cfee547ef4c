"""What runs now according to the history, and what a deploy would change in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .. import console
from ..environments import history
from ..environments.connection import Target
from ..environments.dynamic import short
from ..environments.history import FAILED, RUNNING, Record
from ..images import deployed
from ..orchestrators.stack import Stack, difference

COLOURS = {"+": 32, "-": 31, "~": 33}


def settled_history(target: Target) -> list[Record]:
    """Return the history, after a deploy that was killed is cleaned up and marked as failed."""
    records = target.history.read()
    killed = [record for record in records if record.state == RUNNING]
    if killed:
        target.orchestrator.clear_jobs()
    for record in killed:
        console.warn(f"release {record.number}, by {record.by}, was cut off")
        target.history.write(replace(record, state=FAILED, why="cut off"))
    return target.history.read() if killed else records


def previous_stack(target: Target, records: Sequence[Record]) -> Stack | None:
    """Return the stack that runs now; None when there is none."""
    now = history.current(records)
    return target.history.stack(now, target.stack) if now else None


def show_plan(target: Target, stack: Stack) -> None:
    """Show what a deploy of a stack would change."""
    show_changes(previous_stack(target, target.history.read()), stack)


def show_changes(old: Stack | None, new: Stack) -> None:
    """Show what changes from one stack to another."""
    lines = difference(old, new)
    state = "changes" if lines and old else "new" if lines else "same"
    console.step(f"the stack {new.name}: {state}")
    for line in lines if old else [f"+ {name}" for name in new.services]:
        console.say(console.colour(f"  {line}", COLOURS[line[0]]))


def remember(target: Target, record: Record) -> None:
    """Tag the image of a deploy that begins, and that of what runs: older deploys made no tag."""
    now = history.current(target.history.read())
    for each in (now, record) if now else (record,):
        deployed.remember(target.registry, short(target.name), each.number, each.digest)


def forget(target: Target, wanted: Stack) -> None:
    """Forget old releases with their tags, and the secrets and configs that only they used."""
    old = history.forgettable(target.history.read(), target.settings.deploy.keep)
    # Tags first: a record whose tag could not be removed is forgotten the next time.
    deployed.forget(target.registry, short(target.name), [record.number for record in old])
    target.history.forget(old)
    stacks = target.history.stacks(target.stack)
    used = (stack.versions("secrets") | stack.versions("configs") for stack in stacks)
    target.orchestrator.tidy(set(wanted.configs).union(*used))
