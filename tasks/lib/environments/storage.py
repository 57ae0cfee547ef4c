"""What an environment keeps of its database: backups, or dumps."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ..project import contract
from ..project.settings import ELSEWHERE
from .connection import Target
from .jobs import moment
from .kept import Kept, left

# Now, and then when each dump was written and its bytes.
DUMPS = f"cd {contract.BACKUPS_FOLDER}; date +%s; stat -c '%Y %s' *.dump 2>/dev/null || true"
# Seconds that a part of the archive may wait for its storage.
LATE = 300
# What the tools for backups know of the last ones.
STATE = "python3 /opt/data state"
HOUR, DAY = 3600, 86400
# What is said when the database's image has another libc than before.
REORDERED = (
    "database: its server orders texts in another way than its indexes, which may not find rows - "
    "REINDEX DATABASE, then ALTER DATABASE ... REFRESH COLLATION VERSION: docs/data.md"
)


class BackupState(msgspec.Struct, frozen=True, kw_only=True):
    """What backups there are.

    Args:
        summary: in words.
        last: when the last good one was made (ISO 8601); empty without one.
        drilled: the name of the one that was last restored in a drill; empty without one.
        kept: databases that restores have left, the oldest first.
    """

    summary: str
    last: str = ""
    drilled: str = ""
    problems: list[str] = []
    kept: list[Kept] = []

    def text(self, environment: str) -> str:
        """Return it in words."""
        return "\n  ".join([self.summary, *(each.text(environment) for each in self.kept)])


def backups(target: Target, services: Collection[str]) -> BackupState:
    """Return what backups there are, and what is wrong with them.

    Args:
        services: those that run; one of them makes the backups, or deploys dump the database.
    """
    if contract.BACKUP not in services:
        return dumps(target)
    found = target.orchestrator.inside(contract.BACKUP, STATE)
    known = json.loads(found)["done"] if found else {}
    summary, wrong = state(known, target.settings.backup.every * HOUR, time.time())
    return BackupState(
        summary=summary,
        last=moment(known["good"]) if known.get("good") else "",
        drilled=known.get("drilled") or "",
        problems=wrong,
        kept=left(known.get("kept", {})),
    )


def state(known: Mapping[str, Any], every: int, now: float) -> tuple[str, list[str]]:
    """Return in words what is known of the last backup and the last drill, and what is wrong.

    Args:
        every: seconds between two backups. A backup is too old after twice that.
    """
    good, why = known.get("good"), known.get("why", "")
    drill = known.get("drill")
    words = [
        f"the last one is {age(int(now - good))} old" if good else "none yet",
        f"{known['drilled']} was restored in a drill, in {drill['seconds']} s"
        if drill
        else "no drill yet",
        *filter(None, [why]),
    ]
    wrong = [f"backup: {why}"] if why and known.get("failed", 0) > (good or 0) else []
    if good and now - good > 2 * every:
        wrong.append(f"the last backup is {age(int(now - good))} old")
    if known.get("reordered"):
        wrong.append(REORDERED)
    if "archive" in known:
        text, problems = archived(known["archive"], known.get("base", {}), now)
        drilled = age(int(now - known["proven"])) + " ago" if "proven" in known else "none yet"
        return f"{'; '.join(words)}\n  archive: {text}; drill: {drilled}", wrong + problems
    return "; ".join(words), wrong


def archived(
    found: Mapping[str, Any], base: Mapping[str, Any], now: float
) -> tuple[str, list[str]]:
    """Return in words to which points in time a restore can go, and what is wrong with them.

    Args:
        found: what the database says; see docker/data/archive.py.
        base: what is noted of the base backups.
    """
    if "problem" in found:
        return "unknown", [f"archive: {found['problem']}"]
    if not found["on"]:
        return "off", ["archive: the database that runs has none - inv deploy"]
    wrong = [f"archive: {base['why']}"] if base.get("failed", 0) > base.get("last", 0) else []
    if found["dropped"]:
        ago = age(int(now - found["dropped"]))
        wrong.append(f"archive: parts were dropped {ago} ago; it begins anew with a base backup")
    if found["waiting"] and now - found["oldest"] > LATE:
        since = age(int(now - found["oldest"]))
        wrong.append(f"archive: {found['waiting']} parts wait for its storage, since {since}")
    if base.get("stanza") != found["stanza"]:
        return "no base backup yet", wrong
    last = f"the last part {age(int(now - found['archived']))} ago" if found["archived"] else ""
    begin = datetime.fromtimestamp(base["first"], UTC)
    return "; ".join(filter(None, [f"from {begin:%Y-%m-%d %H:%M:%S} UTC on", last])), wrong


def dumps(target: Target) -> BackupState:
    """Return how many dumps of the database there are, how large, and how old the newest is."""
    if ELSEWHERE in target.settings.deploy.secrets:
        return BackupState(summary="its operator's")
    found = target.orchestrator.inside(contract.DATABASE, DUMPS)
    if not found:
        return BackupState(summary="unknown, as the database is not reached")
    return described(found)


def described(shown: str) -> BackupState:
    """Return in words what DUMPS printed."""
    now, *lines = shown.splitlines()
    dumps = [tuple(map(int, line.split())) for line in lines]
    if not dumps:
        return BackupState(summary="none")
    newest = max(written for written, _ in dumps)
    whole, old = size(sum(each for _, each in dumps)), age(int(now) - newest)
    return BackupState(summary=f"{len(dumps)}, {whole}, the newest {old} old", last=moment(newest))


def size(number: float) -> str:
    """Return a number of bytes with a unit."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def age(seconds: int) -> str:
    """Return a time in its largest unit."""
    if seconds < HOUR:
        return f"{max(seconds, 0) // 60} min"
    return f"{seconds // HOUR} h" if seconds < 2 * DAY else f"{seconds // DAY} days"
