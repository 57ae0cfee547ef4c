"""Restore a backup beside the database, and compare the two; swap.py lets it take its place."""

import os
import re
import time

import catalog
import database
import loading
import media
import programs
import rights
import swap
import volume
from database import sql
from programs import Failed, chain, in_memory

# Whose secret opens the backup: its own identity, for the time of the job.
KEY = "BACKUP_KEY"
PLAIN = re.compile(r"[.]plain$")
CREATE = """
SELECT format('CREATE DATABASE %I TEMPLATE template0 OWNER %I', :'new', pg_get_userbyid(datdba))
FROM pg_database WHERE datname = :'live' \\gexec"""
# An empty database for one that was dropped; its owner is of docker/roles.sql.
GONE = """
SELECT format('CREATE DATABASE %I TEMPLATE template0 OWNER %I', :'live',
  coalesce((SELECT rolname FROM pg_roles WHERE rolname = 'app_owner'), current_user))
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'live') \\gexec"""
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
    new = f"{live}_{kind}_{volume.now().lower()}"
    with volume.locked():
        clear()
        if kind == "restored":
            sql(GONE, "postgres", live=live)
        rights.require(live, kind == "restored")
        plain, manifest = _opened(name)
        try:
            create(new, live, manifest)
            loading.load(plain, new)
            found = compared(new, manifest)
            sql("ANALYZE", new)
        except BaseException:
            swap.drop(new)
            raise
        finally:
            if not plain.endswith(".dump"):
                os.remove(plain)
    seconds = round(time.monotonic() - started, 1)
    return {"database": new, "seconds": seconds, "extra": newer(new), **found}


def newer(new):
    """Return the migrations of a restored database that the live one, if not emptied, lacks."""
    known = database.migrations()
    return sorted(database.migrations(new) - known) if known else []


def clear():
    """Remove the plain dumps that killed restores have left."""
    for name in os.listdir(volume.FOLDER):
        if PLAIN.search(name):
            os.remove(f"{volume.FOLDER}/{name}")


def _opened(name):
    """Return the path of a backup's plain dump, which the caller removes, and its manifest.

    A dump of a deploy is plain already, and has no manifest.
    """
    if os.path.exists(dump := f"{volume.FOLDER}/{name}.dump"):
        return dump, {}
    folder, plain = catalog.fetched(name), f"{volume.FOLDER}/{name}.plain"
    manifest = volume.manifests()[name]
    server = int(sql("SHOW server_version_num")) // 10000
    if int(manifest["version"].split(".")[0]) > server:
        raise Failed(
            f"{name} is of PostgreSQL {manifest['version']}, newer than this one, {server}"
        )
    if not (key := database.read(KEY)):
        raise Failed("the backup's key is missing")
    with in_memory(key) as number, open(f"{folder}/{volume.DUMP}", "rb") as source:
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
    known = {*sql("SELECT name FROM pg_available_extensions", "postgres").split()}
    if lacking := {*manifest.get("facts", {}).get("extensions", {})} - known:
        raise Failed(f"the database server lacks the extensions {', '.join(sorted(lacking))}")
    rights.provide(sorted({*manifest.get("owners", []), *manifest.get("grantees", [])}))
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


def is_broken():
    """Return whether a killed restore has left the site closed, or a plain dump."""
    return os.path.exists(swap.CLOSED) or any(map(PLAIN.search, os.listdir(volume.FOLDER)))


def uploads(name):
    """Bring back the uploaded files of a backup that are missing; see media.restore."""
    path = f"{catalog.fetched(name)}/{volume.MEDIA}"
    if not os.path.exists(path):
        return {"restored": 0, "surplus": 0}
    return media.restore(database.read(KEY), path)


def drill(name):
    """Restore a backup into a scratch database, compare, remove it; return what was found.

    Its uploaded files are read to the end.
    """
    found = beside(name, "drill")
    swap.drop(found["database"])
    if wanted := volume.manifests().get(name, {}).get("uploads"):
        with in_memory(database.read(KEY)) as number:
            count = len(media.names(number, f"{volume.FOLDER}/{name}/{volume.MEDIA}"))
        if count != wanted:
            raise Failed(f"{name} has {count} uploaded files instead of {wanted}")
    return found
