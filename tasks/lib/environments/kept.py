"""Databases that are kept beside the environment's: what gives them back, and what removes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from .jobs import moment

# How the name of a database ends that a restore has left.
STAMP = "%Y%m%dt%H%M%Sz"


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
