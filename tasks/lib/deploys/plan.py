"""What a deploy would change in what runs, and what it forgets afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, TextIO

import msgspec

from .. import console
from ..environments import records, running
from ..environments.connection import Target
from ..environments.records import DAMAGED, FAILED, GOOD, RUNNING, Record
from ..environments.running import Running
from ..errors import ExitCode, TaskError
from ..images import deployed
from ..orchestrators.stack import Stack, changes, difference
from ..project import contract, git
from ..project.names import short
from ..reports import Report

MANIFESTS = "manifests"
# How many commits a plan shows.
COMMITS = 100
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


class Plan(Report, frozen=True, kw_only=True, tag="plan"):
    """What a deploy of a stack would change.

    Args:
        state: of the stack: new, changes or same.
        drift: what was changed by hand since release `since`, a line each; null if unknown.
        changes: a line for each value of the stack, or for each service of a new one; it begins
            with +, - or ~.
        commits: those between what runs and what is deployed, + or - and a line each; none if
            this clone does not know them.
        interrupted: the services that stop before they start again: of each only one may run.
        manifests: the stack's files, if they were wanted.
    """

    environment: str
    stack: str
    image: str
    state: Literal["new", "changes", "same"]
    since: int | None
    drift: list[str] | None
    changes: list[str]
    commits: list[str]
    interrupted: list[str]
    manifests: str = ""

    def lines(self, stream: TextIO) -> Iterator[str]:
        """Yield it as people read it, a line each, in colours for a terminal."""
        if self.drift and self.since:
            what = f"drift: changed by hand since release {self.since}; a deploy repairs it"
            yield console.colour(f"==> {what}", 1, stream)
            yield from _coloured(self.drift, stream)
        if self.commits:
            taken = all(each.startswith("-") for each in self.commits)
            what = "without these commits of" if taken else "commits since"
            yield console.colour(f"==> {what} release {self.since}", 1, stream)
            yield from _coloured(self.commits, stream)
        yield console.colour(f"==> the stack {self.stack}: {self.state}", 1, stream)
        yield from _coloured(self.changes, stream)
        for name in self.interrupted:
            waits = "the app waits for it" if name in DATA else "nothing is served meanwhile"
            what = f"{name} changes: it stops before the new one starts, and {waits}"
            yield console.colour(f"warning: {what}", 33, stream)

    def say(self) -> None:
        """Print it as progress."""
        for each in self.lines(sys.stderr):
            console.say(each)

    def text(self) -> str:
        """Return the files, if they were wanted, or else the changes."""
        return self.manifests or "\n".join(self.lines(sys.stdout))


def read(target: Target, stack: Stack, revision: str, show: str = "") -> Plan:
    """Return what a deploy of a revision's stack would change.

    If its manifests are wanted, they are in it, and the changes are printed as progress.
    """
    made = compare(target, running.known(target), stack, revision)
    if show != MANIFESTS:
        return made
    made.say()
    return msgspec.structs.replace(made, manifests=target.orchestrator.manifests(stack))


def compare(target: Target, now: Running, new: Stack, revision: str) -> Plan:
    """Return what a revision's stack changes in what runs."""
    lines = difference(now.stack, new)
    made = [] if now.stack else [*target.orchestrator.unmade(), *new.services]
    return Plan(
        environment=target.name,
        stack=new.name,
        image=new.image,
        state="changes" if lines and now.stack else "new" if lines else "same",
        since=now.record.number if now.record else None,
        drift=None if now.drift is None else list(now.drift),
        changes=lines if now.stack else [f"+ {name}" for name in made],
        commits=_commits(now.record.revision if now.record else "", revision),
        interrupted=interrupted(now.stack, new),
    )


def _commits(old: str, new: str) -> list[str]:
    first, last = (each.removesuffix("-dirty") for each in (old, new))
    with suppress(TaskError):
        return git.between(first, last)[:COMMITS] if first and last else []
    return []


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


def _coloured(lines: Sequence[str], stream: TextIO) -> Iterator[str]:
    for line in lines:
        yield console.colour(f"  {line}", COLOURS[line[0]], stream)


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
