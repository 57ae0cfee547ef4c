"""Swap two databases while the site is closed, and the names of those of our own."""

import os
import re
import time

import volume
from database import sql
from programs import Failed

# The rest of the name of a database of our own: restored beside, kept after a swap, or of a drill.
OURS = re.compile(r"_(restored|before|drill)_\d{8}t\d{6}z")
# The proxy answers 503 while this file exists.
CLOSED = "/srv/static/.closed"
# Seconds until sessions that were ended are gone.
PATIENCE = 10
SHUT = 'ALTER DATABASE :"live" ALLOW_CONNECTIONS false'
OPEN = 'ALTER DATABASE :"live" ALLOW_CONNECTIONS true'
# Those of roles: an autovacuum ends by itself for a renaming, and only a superuser may end it.
SESSIONS = "FROM pg_stat_activity WHERE datname IN (:'live', :'new') AND usename IS NOT NULL"
END, LEFT = f"SELECT pg_terminate_backend(pid) {SESSIONS}", f"SELECT count(*) {SESSIONS}"
SWAP = """
BEGIN;
ALTER DATABASE :"live" RENAME TO :"kept";
ALTER DATABASE :"new" RENAME TO :"live";
ALTER DATABASE :"live" ALLOW_CONNECTIONS true;
COMMIT"""
NAMES = "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY datname"


def swap(new, kind="before"):
    """Let a database take the place of the environment's, which is kept under another name.

    Returns that name, and the seconds in which the site did not answer.
    """
    live = os.environ["PGDATABASE"]
    kept = f"{live}_{kind}_{volume.now().lower()}"
    names = {"live": live, "new": new, "kept": kept}
    there = sql(NAMES, "postgres").splitlines()
    if new not in there or not is_ours(new):
        raise Failed(f"no restored database {new}; there are {', '.join(there)}")
    began = time.monotonic()
    with volume.locked():
        try:
            with open(CLOSED, "w"):
                sql(SHUT, "postgres", **names)
            end(**names)
            sql(SWAP, "postgres", **names)
        finally:
            reopen()
    return {"seconds": round(time.monotonic() - began, 2), "kept": kept}


def end(**names):
    """End the sessions of the databases `live` and `new`, which take no new ones."""
    deadline = time.monotonic() + PATIENCE
    while sql(f"{END}; {LEFT}", "postgres", **names).splitlines()[-1] != "0":
        if time.monotonic() > deadline:
            raise Failed(f"sessions of {names['live']} do not end")
        time.sleep(0.05)


def undo():
    """Let the database that the last swap has kept take its place again; see swap."""
    before = [name for name in kept() if "_before_" in name]
    if not before:
        raise Failed("no database of before a restore is kept")
    return swap(before[-1], "restored")


def reopen():
    """End what a swap that was killed has left: the site is closed, or its database."""
    live = os.environ["PGDATABASE"]
    if os.path.exists(CLOSED):
        sql(OPEN, "postgres", live=live)
        os.remove(CLOSED)


def drop(name):
    """Remove a database of our own."""
    if not is_ours(name):
        raise Failed(f"{name} is none that a restore has made")
    sql('DROP DATABASE IF EXISTS :"name" WITH (FORCE)', "postgres", name=name)


def kept():
    """Return the databases that restores have made or kept, the oldest first."""
    names = filter(is_ours, sql(NAMES, "postgres").splitlines())
    return sorted(names, key=lambda name: name[-16:])


def is_ours(name):
    """Return whether a restore has made a database, for this one: others may be on its server."""
    live = os.environ["PGDATABASE"]
    return name.startswith(live) and bool(OURS.fullmatch(name, len(live)))
