"""The history of an environment as a report."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..console import table
from ..errors import ExitCode, TaskError
from ..orchestrators.status import Evidence
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
    closed: bool

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
        closed=record.closed,
    )


class History(Report, frozen=True, kw_only=True, tag="history"):
    """An environment's deploys, newest first; `older` ones are left out."""

    environment: str
    releases: list[Release]
    older: int

    def text(self) -> str:
        """Return a table."""
        return shown(self.releases)


class Shown(Report, frozen=True, kw_only=True, tag="release"):
    """One deploy or rollback; `evidence` is what was left of the replica or job that failed."""

    environment: str
    release: Release
    evidence: Evidence | None

    def text(self) -> str:
        """Return all that is known of it, a line each."""
        made = self.release
        facts = {
            "image": made.image,
            "commit": made.revision,
            "by": made.by,
            "began": made.began,
            "took": f"{made.seconds} s" if made.seconds else "",
            "migrations": ", ".join(made.migrations),
            "irreversible": ", ".join(made.irreversible),
            "backup": made.backup,
            "note": made.note,
        }
        rows = [(name, value) for name, value in facts.items() if value]
        heading = f"release {made.number} of {self.environment}: {made.kind}, {made.state}"
        parts = [heading, table(rows), *([left(self.evidence)] if self.evidence else [])]
        return "\n".join(parts)


def show(target: Target, number: str) -> Shown:
    """Return a release of an environment; without a number, the newest. Raises TaskError."""
    records = target.history.read()
    found = [each for each in records if number in ("", str(each.number))]
    if not found:
        hint = f"inv history.list --env={target.name} --all shows all of them"
        raise TaskError(f"no release {number}".strip(), hint, ExitCode.REFUSED)
    return Shown(
        environment=target.name,
        release=release(found[0], bool(target.holder())),
        evidence=target.history.evidence(found[0]),
    )


def left(evidence: Evidence) -> str:
    """Return what is left of a replica or job that failed, as text."""
    place = f"on {evidence.node}; " if evidence.node else ""
    parts = [f"  the cluster said: {each}" for each in evidence.events]
    parts += [f"  {place}its last lines:", *(f"    {line}" for line in evidence.lines)]
    return "\n".join(parts)


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
