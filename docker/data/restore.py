"""Restore a backup beside the database, compare, then swap the two; nothing is lost unproven."""

import os
import re
import time

import database
import media
import programs
import rights
import storage
from database import sql
from programs import Failed, chain, in_memory, run

# The rest of the name of a database of our own: restored beside, kept after a swap, or of a drill.
OURS = re.compile(r"_(restored|before|drill)_\d{8}t\d{6}z")
# Whose secret opens the backup: its own identity, for the time of the job.
KEY = "BACKUP_KEY"
# The proxy answers 503 while this file exists.
CLOSED = "/srv/static/.closed"
PLAIN = re.compile(r"[.]plain$")
# Seconds until sessions that were ended are gone.
PATIENCE = 10
MISSING = """
SELECT format('CREATE ROLE %I NOLOGIN', name) FROM json_array_elements_text(:'names') name
WHERE to_regrole(name) IS NULL \\gexec"""
CREATE = """
SELECT format('CREATE DATABASE %I TEMPLATE template0 OWNER %I', :'new', pg_get_userbyid(datdba))
FROM pg_database WHERE datname = :'live' \\gexec"""
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
BEHIND = """
SELECT format('SELECT %L, max(%I), %L FROM %I.%I', s.relname, a.attname, (SELECT last_value
  FROM pg_sequences q WHERE q.schemaname = n.nspname AND q.sequencename = s.relname),
  n.nspname, t.relname)
FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i')
JOIN pg_class t ON t.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = t.oid
  AND a.attnum = d.refobjsubid JOIN pg_namespace n ON n.oid = s.relnamespace
WHERE s.relkind = 'S' \\gexec"""


def beside(name, kind="restored"):
    """Restore a backup into a new database, compare the two; return the database's name and facts.

    What was begun is removed if that fails.
    """
    live, started = os.environ["PGDATABASE"], time.monotonic()
    new = f"{live}_{kind}_{storage.now().lower()}"
    with storage.locked():
        clear()
        rights.require(live, kind == "restored")
        plain, manifest = _opened(name)
        try:
            create(new, live, manifest)
            run("pg_restore", "--exit-on-error", "--jobs=2", f"--dbname={new}", plain)
            found = compared(new, manifest)
            sql("ANALYZE", new)
        except BaseException:
            drop(new)
            raise
        finally:
            if not plain.endswith(".dump"):
                os.remove(plain)
    extra = sorted(database.migrations(new) - database.migrations())
    seconds = round(time.monotonic() - started, 1)
    return {"database": new, "seconds": seconds, "extra": extra, **found}


def clear():
    """Remove the plain dumps that killed restores have left."""
    for name in os.listdir(storage.FOLDER):
        if PLAIN.search(name):
            os.remove(f"{storage.FOLDER}/{name}")


def _opened(name):
    """Return the path of a backup's plain dump, which the caller removes, and its manifest.

    A dump of a deploy is plain already, and has no manifest.
    """
    if os.path.exists(dump := f"{storage.FOLDER}/{name}.dump"):
        return dump, {}
    folder, plain = storage.fetched(name), f"{storage.FOLDER}/{name}.plain"
    manifest = storage.of_volume()[name]
    server = int(sql("SHOW server_version_num")) // 10000
    if int(manifest["version"].split(".")[0]) > server:
        raise Failed(
            f"{name} is of PostgreSQL {manifest['version']}, newer than this one, {server}"
        )
    if not (key := database.read(KEY)):
        raise Failed("the backup's key is missing")
    with in_memory(key) as number, open(f"{folder}/{storage.DUMP}", "rb") as source:
        decrypt = ["age", "--decrypt", "--identity", f"/proc/self/fd/{number}"]
        try:
            with chain(decrypt, fds=(number,), source=source) as output:
                programs.save(output, plain)
        except BaseException:
            if os.path.exists(plain):
                os.remove(plain)
            raise
    return plain, manifest


def create(new, live, manifest):
    """Make a new database with the live one's owner, and the roles that a backup needs."""
    import json

    known = {*sql("SELECT name FROM pg_available_extensions", "postgres").split()}
    if lacking := {*manifest.get("facts", {}).get("extensions", {})} - known:
        raise Failed(f"the database server lacks the extensions {', '.join(sorted(lacking))}")
    names = [*manifest.get("owners", []), *manifest.get("grantees", [])]
    sql(MISSING, "postgres", names=json.dumps(names))
    sql(CREATE, "postgres", new=new, live=live)


def compared(new, manifest):
    """Return how much a restored database has. Raises Failed if it differs from its manifest."""
    found, wanted = database.facts(new), manifest.get("facts")
    if wanted:
        extensions = wanted.pop("extensions"), found.pop("extensions")
        lines = [
            f"{kind}: {was!r} became {found[kind]!r}" if not isinstance(was, dict) else
            f"{kind}: {_first(was, found[kind])}"
            for kind, was in wanted.items()
            if found[kind] != was
        ]  # fmt: skip
        if {*extensions[0]} - {*extensions[1]}:
            lines.append(f"extensions: {', '.join({*extensions[0]} - {*extensions[1]})} missing")
        if lines:
            raise Failed(f"the restored database differs from the backup: {'; '.join(lines)}")
    rows = sum(found["tables"].values())
    return {"tables": len(found["tables"]), "rows": rows, "behind": _behind(new)}


def _first(was, now):
    """Return the first difference of two objects."""
    name = next(key for key in {**was, **now} if was.get(key) != now.get(key))
    return f"{name} had {was.get(name)}, has {now.get(name)}"


def _behind(name):
    """Return the sequences that would give a number that their table has already."""
    rows = [line.split("|") for line in sql(BEHIND, name).splitlines()]
    return [each for each, most, last in rows if most and int(most) > int(last or 0)]


def swap(new, kind="before"):
    """Let a database take the place of the environment's, which is kept under another name.

    Returns that name, and the seconds in which the site did not answer.
    """
    live = os.environ["PGDATABASE"]
    kept = f"{live}_{kind}_{storage.now().lower()}"
    names = {"live": live, "new": new, "kept": kept}
    there = sql(NAMES, "postgres").splitlines()
    if new not in there or not is_ours(new):
        raise Failed(f"no restored database {new}; there are {', '.join(there)}")
    began = time.monotonic()
    with storage.locked():
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


def is_broken():
    """Return whether a killed restore has left the site closed, or a plain dump."""
    return os.path.exists(CLOSED) or any(map(PLAIN.search, os.listdir(storage.FOLDER)))


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


def uploads(name):
    """Bring back the uploaded files of a backup that are missing; see media.restore."""
    path = f"{storage.fetched(name)}/{storage.MEDIA}"
    if not os.path.exists(path):
        return {"restored": 0, "surplus": 0}
    return media.restore(database.read(KEY), path)


def drill(name):
    """Restore a backup into a scratch database, compare, remove it; return what was found.

    Its uploaded files are read to the end.
    """
    found = beside(name, "drill")
    drop(found["database"])
    if wanted := storage.of_volume().get(name, {}).get("uploads"):
        with in_memory(database.read(KEY)) as number:
            count = len(media.names(number, f"{storage.FOLDER}/{name}/{storage.MEDIA}"))
        if count != wanted:
            raise Failed(f"{name} has {count} uploaded files instead of {wanted}")
    return found
