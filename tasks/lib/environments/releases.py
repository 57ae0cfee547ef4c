"""The history of an environment as a report."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..console import table
from ..registry.reference import short
from ..reports import Report
from .connection import Target
from .records import RUNNING, Record

CUT_OFF = "cut off"


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A deploy or a rollback; environments.records.Record says what its fields are.

    Args:
        state: also "cut off", of one that was killed.
        began: ISO 8601, in UTC.
        irreversible: those of its migrations that cannot be reversed.
    """

    number: int
    state: str
    kind: str
    began: str
    seconds: int
    revision: str
    image: str
    digest: str
    by: str
    why: str
    migrations: list[str]
    irreversible: list[str]
    backup: str
    url_verified: bool

    @property
    def note(self) -> str:
        """Why it failed or was forced, and that its site was not verified."""
        unverified = "" if self.url_verified else "URL not verified from outside"
        return "; ".join(filter(None, (unverified, self.why)))


def release(record: Record, locked: bool) -> Release:
    """Return a record for a report; unless the lock is held, one that is running was killed."""
    return Release(
        number=record.number,
        state=CUT_OFF if record.state == RUNNING and not locked else record.state,
        kind=record.kind,
        began=record.began.replace("+00:00", "Z"),
        seconds=record.seconds,
        revision=record.revision,
        image=record.image,
        digest=record.digest,
        by=record.by,
        why=record.why,
        migrations=record.migrations,
        irreversible=record.final,
        backup=record.backup,
        url_verified=record.url_verified,
    )


class History(Report, frozen=True, kw_only=True, tag="history"):
    """An environment's deploys, newest first; `older` ones are left out."""

    environment: str
    releases: list[Release]
    older: int

    def text(self) -> str:
        """Return a table."""
        return shown(self.releases)


def read(target: Target, newest: int) -> History:
    """Return an environment's newest deploys; 0: all of them."""
    return history(target.name, target.history.read(), newest, bool(target.holder()))


def history(environment: str, records: Sequence[Record], newest: int, locked: bool) -> History:
    """Return the newest records of a history as a report; 0: all of them."""
    chosen = [release(each, locked) for each in (records[:newest] if newest else records)]
    return History(environment=environment, releases=chosen, older=len(records) - len(chosen))


def shown(releases: Sequence[Release]) -> str:
    """Return releases as a table."""
    heads = ("release", "state", "kind", "began", "seconds", "commit", "digest", "by", "note")
    rows = [
        (
            str(each.number),
            each.state,
            each.kind,
            each.began,
            str(each.seconds),
            each.revision[:12],
            short(each.digest),
            each.by,
            each.note[:80],
        )
        for each in releases
    ]
    return table(rows, heads) if rows else "no release yet"
