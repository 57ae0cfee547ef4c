"""Restore the database as of a point in time: a scratch server recovers it from the archive."""

import json
import os
import shutil
import time
from datetime import UTC, datetime

import archive
import database
import restore
import scratch
import swap
import volume
from programs import Failed, chain, run
from scratch import LATEST


def at(when, kind="restored"):
    """Restore the database as of a time into a new one beside the live one; see restore.beside.

    Args:
        when: a time of ISO 8601 with its zone, or "latest".
    """
    live, started = os.environ["PGDATABASE"], time.monotonic()
    new = f"{live}_{kind}_{volume.now().lower()}"
    with volume.locked():
        scratch.clear()
        if kind == "restored":
            database.sql(restore.GONE, "postgres", live=live)
        archive.flush()
        stanza, base = choose(archive.info(), when, _major())
        _room(base)
        try:
            found = _restored(new, live, stanza, base, when)
        except scratch.Early:
            # Of a cluster that is gone, what it has archived is all that there is of that time.
            if stanza == archive.state()["stanza"]:
                raise
            found = _restored(new, live, stanza, base, LATEST)
    seconds = round(time.monotonic() - started, 1)
    return {"seconds": seconds, "extra": restore.newer(new), **found}


def _restored(new, live, stanza, base, when):
    """Recover a base backup until a time, and copy what it has; leave nothing if that fails."""
    try:
        scratch.fetch(stanza, base, when)
        with scratch.server() as reached:
            return {"database": new, "reached": reached, **_copied(new, live)}
    except BaseException:
        swap.drop(new)
        raise
    finally:
        scratch.clear()


def choose(clusters, when, major):
    """Return the cluster and the newest base backup of it that ended before a time.

    Args:
        clusters: what archive.info returns.
        when: see at.
        major: the version of PostgreSQL, which has to be the same.
    """
    bases = [
        (each["timestamp"]["stop"], cluster["name"], each)
        for cluster in clusters
        for each in cluster["backup"]
        if not each.get("error")
        and {db["id"]: db["version"] for db in cluster["db"]}[each["database"]["id"]] == major
    ]
    if not bases:
        raise Failed(f"the archive has no base backup of PostgreSQL {major} yet")
    until = _moment(when)
    earlier = [each for each in bases if each[0] <= until]
    if not earlier:
        raise Failed(f"the archive begins at {_shown(min(each[0] for each in bases))}")
    _, name, base = max(earlier, key=lambda each: each[0])
    return name, base


def _moment(when):
    """Return a time as a number. Raises Failed if it is yet to come."""
    now = time.time()
    moment = now if when == LATEST else datetime.fromisoformat(when).timestamp()
    if moment > now:
        raise Failed(f"{when} is in the future")
    return moment


def _shown(moment):
    return datetime.fromtimestamp(moment, UTC).isoformat(" ")


def _major():
    return run("pg_dump", "--version").split()[2].partition(".")[0]


def _room(base):
    """Refuse to begin where the scratch server and the new database would fill the disk."""
    wanted, free = base["info"]["size"] * 2, shutil.disk_usage(scratch.FOLDER).free
    if free < wanted:
        raise Failed(f"disk full: it needs {wanted >> 20} MB, {free >> 20} MB are free")


def _copied(new, live):
    """Copy the recovered database into a new one of the live server, and compare the two."""
    with database.reached(PGHOST=scratch.FOLDER, PGUSER=scratch.user()):
        try:
            facts, about = database.facts(), json.loads(database.sql(database.ABOUT))
        except Failed as failed:
            # A DROP DATABASE removes files before it ends, and so before recovery stops.
            why = f"the database was not whole then: take an earlier time ({failed})"
            raise Failed(why) from None
    restore.create(new, live, {**about, "facts": facts})
    place = [f"--host={scratch.FOLDER}", f"--username={scratch.user()}"]
    dump = ["pg_dump", *place, "--format=custom", "--compress=none"]
    with chain(dump, ["pg_restore", "--exit-on-error", f"--dbname={new}"]):
        pass
    found = restore.compared(new, {"facts": facts})
    database.sql("ANALYZE", new)
    return found


def drill(when):
    """Prove that a point in time can be restored: restore it, remove it; return what was found."""
    found = at(when, "drill")
    swap.drop(found["database"])
    return found
