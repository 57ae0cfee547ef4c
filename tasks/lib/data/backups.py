"""The backups of an environment: make one, list them, choose one, open its key."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from .. import console, redaction
from ..console import table
from ..environments.connection import Target
from ..environments.records import Record
from ..environments.secret_files import IDENTITY, identities
from ..environments.storage import age, size
from ..errors import ExitCode, TaskError, explain
from ..orchestrators.stack import Stack
from ..project import contract
from ..reports import Report
from . import tools

FORMAT, NAME = "%Y%m%dT%H%M%SZ", re.compile(r"\d{8}T\d{6}Z")
HEADS = ("backup", "age", "size", "rows", "release", "where", "readers", "drill")


def about(record: Record | None, why: str) -> str:
    """Return what a backup's manifest has besides: the release that wrote the data."""
    release = {"release": record.number, "revision": record.revision} if record else {}
    return json.dumps({**release, "why": why})


def lonely(readers: Sequence[str]) -> list[str]:
    """Return a line if one key alone opens the backups: without it, they are lost."""
    if len({*readers}) > 1:
        return []
    return ["one key alone opens it: add a second one to deploy.recipients, and keep it elsewhere"]


def note_release(target: Target, stack: Stack, record: Record) -> None:
    """Let the service of backups know which release runs; a problem is a warning."""
    if contract.BACKUP not in stack.services:
        return
    try:
        tools.ask(target, "release", shlex.quote(about(record, "schedule")))
    except Exception as error:
        console.warn(f"scheduled backups name an older release: {explain(error)}")


def listed(target: Target) -> dict[str, Any]:
    """Return the backups, the newest first, and what is wrong with the storage."""
    return dict(tools.ask(target, "list"))


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup.

    Args:
        made: when (ISO 8601).
        size: in bytes.
        rows: of all tables; null if it is unknown.
        release: that wrote the data; null if it is unknown.
        recipients: the public keys of those who can read it; without one it is not encrypted.
        drilled: it is the one that was last restored in a drill.
    """

    name: str
    made: str
    size: int
    rows: int | None
    release: int | None
    places: list[str]
    recipients: list[str]
    drilled: bool


class Backups(Report, frozen=True, kw_only=True, tag="backups"):
    """The backups of an environment, the newest first."""

    environment: str
    backups: list[Backup]

    def text(self) -> str:
        """Return a table."""
        now = datetime.now(UTC)
        rows = [
            (
                each.name,
                age(int((now - datetime.fromisoformat(each.made)).total_seconds())),
                size(each.size),
                "-" if each.rows is None else str(each.rows),
                str(each.release or "-"),
                ", ".join(each.places),
                ", ".join(key[-6:] for key in each.recipients) or "not encrypted",
                "restored" if each.drilled else "-",
            )
            for each in self.backups
        ]
        return table(rows, HEADS) if rows else "no backup yet"


def report(environment: str, found: Mapping[str, Any]) -> Backups:
    """Return what the tools list as a report."""
    return Backups(
        environment=environment,
        problems=[found["problem"]] if found.get("problem") else [],
        backups=[
            Backup(
                name=each["name"],
                made=moment(each["name"]).isoformat(),
                size=weight(each),
                rows=rows(each),
                release=each.get("release"),
                places=each["places"],
                recipients=each.get("recipients", []),
                drilled=each["name"] == found["state"].get("drilled"),
            )
            for each in found["backups"]
        ],
    )


def weight(backup: Mapping[str, Any]) -> int:
    """Return how many bytes a backup has."""
    files = backup.get("files", {}).values()
    return sum(each["size"] for each in files) or int(backup["bytes"])


def rows(backup: Mapping[str, Any]) -> int | None:
    """Return how many rows the tables of a backup have; None if it does not say."""
    return sum(backup["facts"]["tables"].values()) if "facts" in backup else None


def moment(name: str) -> datetime:
    """Return the time of a backup."""
    return datetime.strptime(name, FORMAT).replace(tzinfo=UTC)


def choose(backups: Sequence[dict[str, Any]], wanted: str) -> dict[str, Any]:
    """Return a backup by its name, the newest ("latest"), or the newest of before a time.

    Raises TaskError if there is none, or the time, of ISO 8601, has no zone.
    """
    hint = "see inv backup.list; --from takes a name, latest, 2026-11-26T14:03:05+01:00 or a file"
    for each in backups:
        if wanted in {each["name"], "latest"}:
            return each
    if NAME.fullmatch(wanted):
        # To Python a time, too: a mistyped name would choose an older backup.
        raise TaskError(f"no backup {wanted}", hint, ExitCode.REFUSED)
    until = instant(wanted, f"no backup {wanted!r}", hint)
    earlier = [each for each in backups if moment(each["name"]) <= until]
    if not earlier:
        raise TaskError(
            f"no backup of before {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            hint,
            ExitCode.REFUSED,
        )
    return earlier[0]


def instant(text: str, what: str, hint: str) -> datetime:
    """Return a time of ISO 8601 with its zone. Raises TaskError: `what` if it is no time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise TaskError(what, hint, ExitCode.REFUSED) from None
    if found.tzinfo is None:
        raise TaskError(f"{text} has no time zone", f"{text}+00:00 is UTC", ExitCode.REFUSED)
    return found


def key(backup: dict[str, Any], identity: str) -> str:
    """Return a backup's own key, opened with a reader's identity; empty for a plain dump.

    Args:
        identity: the path of a file with a private key of age or SSH.
    Raises TaskError if it is not this backup's.
    """
    import pyrage  # type: ignore[import-untyped]

    if not backup["key"]:
        return ""
    try:
        opened = pyrage.decrypt(base64.b64decode(backup["key"]), identities(identity)).decode()
        line = next(line for line in opened.splitlines() if line.startswith("AGE-SECRET-KEY-"))
        if str(pyrage.x25519.Identity.from_str(line).to_public()) == backup["public"]:
            return redaction.know(tools.KEY, line)
        why = "it opens another one"
    except OSError as error:
        raise TaskError(f"{error.filename}: {error.strerror}", code=ExitCode.REFUSED) from None
    except (pyrage.DecryptError, pyrage.IdentityError, ValueError, StopIteration) as error:
        why = str(error)
    what = f"{identity or 'no identity'} does not open backup {backup['name']}: {why}"
    hint = f"{IDENTITY}; its readers are {', '.join(backup['recipients'])}"
    raise TaskError(what, hint, ExitCode.REFUSED)
