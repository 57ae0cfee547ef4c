"""Points in time that the archive of a database can be restored to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..environments.connection import Target
from ..errors import ExitCode, TaskError
from ..orchestrators.stack import Stack
from ..project import contract
from . import backups, opening

LATEST = "latest"
HINT = "--at takes a time with its zone, 2026-11-26T14:03:05+01:00, or latest"


def wanted(
    target: Target, stack: Stack, name: str, at: str, identity: str
) -> tuple[dict[str, Any], str]:
    """Return the backup of a name and its key, or a point in time; see backups and chosen."""
    if name and at:
        raise TaskError("--from and --at: only one can be", HINT, ExitCode.REFUSED)
    return (chosen(stack, at), "") if at else opening.opened(target, name, identity)


def words(backup: Mapping[str, Any], of_backup: str, of_point: str) -> tuple[str, str]:
    """Return the words for the tools: what to do with a backup, or with a point in time."""
    point = backup.get("point", "")
    return (of_point, point) if point else (of_backup, backup["name"])


def chosen(stack: Stack, at: str) -> dict[str, Any]:
    """Return a point in time as a backup to restore; see Restore.

    Raises TaskError if it is no time of before now, or the database has no archive.
    """
    uses = stack.services[contract.BACKUP].get("secrets", [])
    if contract.ARCHIVE_KEY not in {use["source"] for use in uses}:
        hint = "set backup.pitr in invoke.yaml, build and deploy; from then on there is one"
        raise TaskError("the database has no archive", hint, ExitCode.REFUSED)
    if at == LATEST:
        return {"name": "all that was archived", "point": LATEST}
    moment = backups.instant(at, f"{at} is no time", HINT).astimezone(UTC)
    if moment > datetime.now(UTC):
        raise TaskError(f"{at} is in the future", HINT, ExitCode.REFUSED)
    name = f"{moment:%Y-%m-%d %H:%M:%S}"
    part = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
    return {"name": f"{name}{part} UTC", "point": moment.isoformat()}
