"""Databases that are kept beside the environment's: what gives them back, and what removes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from ..orchestrators.stack import Stack
from ..orchestrators.status import Volume
from ..project import contract
from .jobs import moment

# How the name of a database ends that a restore has left.
STAMP = "%Y%m%dt%H%M%Sz"
# The volumes of the database, in the Compose files: each major version of PostgreSQL has its own.
VOLUME = re.compile(r"db\d*")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A database that a restore, its undo or a drill has left beside the environment's.

    Args:
        since: when that was (ISO 8601).
        until: a backup after that time removes it (ISO 8601).
        undo: `inv restore --undo` lets it take its place again.
    """

    name: str
    since: str
    until: str
    undo: bool

    def text(self, environment: str) -> str:
        """Return it in words, with what gives it back and what removes it."""
        back = f"inv restore --env={environment} --undo swaps it back; " if self.undo else ""
        gone = f"inv backup --env={environment} after {self.until} removes it"
        return f"kept since {self.since}: database {self.name} - {back}{gone}"


def left(found: Mapping[str, float]) -> list[Kept]:
    """Return the databases that restores have left, of their names and of when they may go.

    The newest one of before a restore is the one that an undo swaps back.
    """
    names = sorted(found, key=lambda name: name[-16:])
    before = [name for name in names if "_before_" in name][-1:]
    return [
        Kept(
            name=name,
            since=f"{datetime.strptime(name[-16:], STAMP):%Y-%m-%dT%H:%M:%SZ}",
            until=moment(found[name]),
            undo=name in before,
        )
        for name in names
    ]


class Spare(msgspec.Struct, frozen=True, kw_only=True):
    """A volume with a database that does not run: an upgrade, or the rollback of one, has left it.

    Args:
        volume: its name in the Compose files.
        since: when the newer of the two was made (ISO 8601).
        remove: the command that deletes it, and where.
    """

    volume: str
    since: str
    remove: str

    def text(self) -> str:
        """Return it in words, with what goes back to it and what removes it."""
        back = "a rollback to a release that used it goes back to it"
        what = f"kept since {self.since}: a database in volume {self.volume}"
        return f"{what} - {back}; {self.remove} removes it"


def spare(found: Sequence[Volume], stack: Stack | None) -> list[Spare]:
    """Return the volumes with a database that the one of a stack, which runs, does not use."""
    if stack is None or contract.DATABASE not in stack.services:
        return []
    used = {each.get("source") for each in stack.services[contract.DATABASE].get("volumes", [])}
    mine = [each for each in found if VOLUME.fullmatch(each.name)]
    if not any(each.name in used for each in mine):
        return []
    since = moment(max(each.made for each in mine))
    return [
        Spare(volume=each.name, since=since, remove=each.remove)
        for each in mine
        if each.name not in used
    ]
