"""What a deploy would change in what runs, and what it forgets afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import console
from ..environments import records, running
from ..environments.connection import Target
from ..environments.records import DAMAGED, FAILED, GOOD, RUNNING, Record
from ..environments.running import Running
from ..errors import ExitCode, TaskError
from ..images import deployed
from ..orchestrators.stack import Stack, changes, difference
from ..project import contract
from ..project.names import short

MANIFESTS = "manifests"
COLOURS = {"+": 32, "-": 31, "~": 33}
# Services whose data only one container may use.
DATA = {contract.DATABASE, contract.REDIS}


def settled(target: Target) -> Running:
    """Return what runs, after a deploy that was killed is cleaned up and its end is recorded.

    Raises TaskError as running.known does.
    """
    now = running.known(target)
    killed = [each for each in now.records if each.state == RUNNING]
    for each in now.records:
        if each.state == DAMAGED:
            console.warn(f"{each.why}: delete the folder, or inv history.adopt if it is what runs")
    if not killed:
        return now
    target.orchestrator.clear_jobs()
    for each in killed:
        target.history.write(_ended(each, now.record))
    return running.known(target)


def _ended(killed: Record, now: Record | None) -> Record:
    """Return the record of a deploy that was killed, as it ended: it may run all the same."""
    runs = killed == now
    what = "and runs" if runs else "before it ran everywhere"
    console.warn(f"release {killed.number}, by {killed.by}, was cut off {what}")
    return replace(killed, state=GOOD if runs else FAILED, why=f"cut off {what}")


def require_shown(show: str, plan: bool) -> None:
    """Raise TaskError unless a plan can show what is wanted besides; empty for nothing."""
    if show not in ("", MANIFESTS) or (show and not plan):
        what = f"--show={show}: " + ("only a plan is shown" if show == MANIFESTS else "unknown")
        raise TaskError(what, f"use --plan --show={MANIFESTS}", ExitCode.REFUSED)


def show_plan(target: Target, stack: Stack, show: str = "") -> None:
    """Show what a deploy of a stack would change, and print its manifests if that is wanted."""
    show_changes(running.known(target), stack)
    if show == MANIFESTS:
        console.result(target.orchestrator.manifests(stack))


def show_changes(now: Running, new: Stack) -> None:
    """Show what was changed by hand since the last deploy, and what a stack changes."""
    if now.drift and now.record:
        console.step(
            f"drift: changed by hand since release {now.record.number}; a deploy repairs it"
        )
        _show(now.drift)
    lines = difference(now.stack, new)
    state = "changes" if lines and now.stack else "new" if lines else "same"
    console.step(f"the stack {new.name}: {state}")
    _show(lines if now.stack else [f"+ {name}" for name in new.services])
    for name in interrupted(now.stack, new):
        waits = "and the app waits for it" if name in DATA else "and nothing is served meanwhile"
        console.warn(f"{name} changes: it stops before the new one starts, {waits}")


def interrupted(old: Stack | None, new: Stack) -> list[str]:
    """Return the services that a deploy replaces of which only one may run.

    Only one can have the data, or the published port.
    """
    if old is None:
        return []
    doors = {name for name, each in new.services.items() if each.get("ports") and _is_one(each)}
    same = (DATA | doors) & {*old.services} & {*new.services}
    return [name for name in sorted(same) if changes(_given(old, name), _given(new, name))]


def _is_one(service: Mapping[str, Any]) -> bool:
    return int(service.get("deploy", {}).get("replicas", 1)) == 1


def _given(stack: Stack, name: str) -> dict[str, Any]:
    """Return a service with the versions of its secrets and configs, whatever they are called."""
    service = {**stack.services[name]}
    for kind in ("secrets", "configs"):
        service[kind] = [
            {"target": use["source"], **use, "source": stack.content[kind][use["source"]]["name"]}
            for use in service.get(kind, [])
        ]
    return service


def _show(lines: Sequence[str]) -> None:
    for line in lines:
        console.say(console.colour(f"  {line}", COLOURS[line[0]]))


def remember(target: Target, now: Record | None, record: Record) -> None:
    """Tag the image of a deploy that begins, and that of what runs: older deploys made no tag."""
    for each in (now, record):
        if each and each.digest:
            deployed.remember(target.registry, short(target.name), each.number, each.digest)


def forget(target: Target, wanted: Stack, now: Record) -> None:
    """Forget old releases with their tags, and the secrets and configs that only they used."""
    old = records.forgettable(target.history.read(), target.settings.deploy.keep, now)
    # Tags first: a record whose tag could not be removed is forgotten the next time.
    deployed.forget(target.registry, short(target.name), [record.number for record in old])
    target.history.forget(old)
    target.orchestrator.tidy(target.history.versions().union(wanted.configs))
