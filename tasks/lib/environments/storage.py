"""What an environment keeps on its servers: images, and dumps of its database."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from ..console import table
from ..project import contract
from ..project.settings import ELSEWHERE
from ..ssh.host import Host
from .connection import Target

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


def servers(target: Target) -> str:
    """Return a table of the servers: the free space of their disks, and our images there.

    It is empty for a cluster, which takes care of its own disks.
    """
    if not target.hosts:
        return ""
    repository = target.registry.image.name
    with ThreadPoolExecutor() as pool:
        found = pool.submit(target.orchestrator.stored_images, repository)
        disks = [*pool.map(disk, target.hosts)]
    stored = {each.server: each for each in found.result()}
    rows = [
        (host.name, free, str(stored[host.name].images), size(stored[host.name].size))
        for host, free in zip(target.hosts, disks, strict=True)
    ]
    return table(rows, ("server", "disk free", "images", "at most"))


def disk(host: Host) -> str:
    """Return the free space of the disk with the engine's data."""
    shown = host.run("df -Ph /var/lib/docker 2>/dev/null || df -Ph /", changes=False)
    fields = shown.splitlines()[-1].split()
    return f"{fields[3]} of {fields[1]}"


def backups(target: Target, services: Collection[str]) -> tuple[str, list[str]]:
    """Return in words what backups there are, and what is wrong with them.

    Args:
        services: those that run; one of them makes the backups, or deploys dump the database.
    """
    if contract.BACKUP in services:
        shown = target.orchestrator.inside(contract.BACKUP, STATE)
        known = json.loads(shown)["done"] if shown else {}
        return state(known, target.settings.backup.every * HOUR, time.time())
    return dumps(target), []


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


def dumps(target: Target) -> str:
    """Return how many dumps of the database there are, how large, and how old the newest is."""
    if ELSEWHERE in target.settings.deploy.secrets:
        return "its operator's"
    shown = target.orchestrator.inside(contract.DATABASE, DUMPS)
    return described(shown) if shown else "unknown, as the database is not reached"


def described(shown: str) -> str:
    """Return in words what DUMPS printed."""
    now, *lines = shown.splitlines()
    dumps = [tuple(map(int, line.split())) for line in lines]
    if not dumps:
        return "none"
    newest = int(now) - max(written for written, _ in dumps)
    return f"{len(dumps)}, {size(sum(each for _, each in dumps))}, the newest {age(newest)} old"


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
