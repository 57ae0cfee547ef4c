"""Move the database into a new cluster of another major version, on a volume of its own."""

import json
import os
import subprocess
import time
from contextlib import contextmanager

import database
import loading
import restore
import swap
import volume
from database import sql
from programs import Failed, chain, run

# While this file is new, the database stays closed: its server is being replaced.
MARK = f"{volume.FOLDER}/upgrading"
# Seconds until the old database opens again if the upgrade did not go on.
LATE = 15 * 60
# Where the new server is reached, by this container alone; and what it says.
HOST, LOG = "127.0.0.1", "/tmp/new.log"  # noqa: S108
# Seconds that the new cluster may take to be made.
PATIENCE = 120
# Seconds in which requests from before the site was closed are finished: their bodies may be slow.
GRACE = 10
# Roles that exist already, and are changed by what follows in a dump of roles.
ROLE = "CREATE ROLE {};"
CLOSE = """
BEGIN;
ALTER DATABASE :"live" RENAME TO :"shut";
ALTER DATABASE :"shut" ALLOW_CONNECTIONS true;
COMMIT"""
BACK = 'ALTER DATABASE :"shut" RENAME TO :"live"'
OWN = 'ALTER DATABASE :"live" OWNER TO :"owner"'
OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"


def move(last=""):
    """Copy the database into a new cluster, and compare the two; return what the copy has.

    Args:
        last: not empty to close the database first. It stays so: see reopen.
    """
    live, started = os.environ["PGDATABASE"], time.monotonic()
    with volume.locked():
        with _cluster(live):
            source = _close(live) if last else live
            try:
                found = _copied(source, live)
            except BaseException:
                reopen()
                raise
        if last:
            os.utime(MARK)
    return {**found, "seconds": round(time.monotonic() - started, 1)}


@contextmanager
def _cluster(live):
    """Make a new cluster as the image does for the database's service; run it meanwhile."""
    folder = os.environ["PGDATA"]
    run("find", folder, "-mindepth", "1", "-delete")
    env = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    env |= {"PGDATA": folder, "POSTGRES_USER": _superuser(), "POSTGRES_DB": live}
    env["POSTGRES_PASSWORD"] = os.environ["PGPASSWORD"]
    env.pop("POSTGRES_PASSWORD_FILE", None)
    with open(LOG, "w") as log:
        words = ["docker-entrypoint.sh", "postgres", "-c", f"listen_addresses={HOST}"]
        server = subprocess.Popen(words, env=env, stdout=log, stderr=log)
    try:
        _ready(server)
        yield
    finally:
        if server.poll() is None:
            run("pg_ctl", f"--pgdata={folder}", "--mode=fast", "--wait", "stop", user="postgres")
            server.wait()


def _ready(server):
    """Wait until the new server answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with _new():
                return sql("SELECT 1", "postgres")
        except Failed:
            if server.poll() is not None or time.monotonic() > deadline:
                with open(LOG) as file:
                    why = file.read().strip().splitlines()[-1:]
                raise Failed(f"the new server does not start: {''.join(why)}") from None
            time.sleep(0.5)


def _superuser():
    return os.environ.get("POSTGRES_SUPERUSER", os.environ["PGUSER"])


def _new(live="postgres"):
    """Let PostgreSQL's programs reach the new server meanwhile."""
    return database.reached(PGHOST=HOST, PGUSER=_superuser(), PGDATABASE=live)


def _close(live):
    """Close the site and the database; return the name that the database has meanwhile."""
    shut = f"{live}_upgrade_{volume.now().lower()}"
    try:
        with open(MARK, "w"), open(swap.CLOSED, "w"):
            time.sleep(GRACE)
        sql(swap.SHUT, "postgres", live=live)
        swap.end(live=live, new=live)
        sql(CLOSE, "postgres", live=live, shut=shut)
    except BaseException:
        reopen()
        raise
    return shut


def _copied(source, live):
    """Copy roles and data, and compare them; return how much there is."""
    roles = run("pg_dumpall", "--roles-only").splitlines()
    known = ROLE.format(_superuser())
    with database.reached(PGDATABASE=source):
        owner = sql(OWNER)
        with database.snapshot() as (snapshot, about, facts):
            with _new(live):
                _fits(about, facts)
                sql("\n".join(line for line in roles if line != known), "postgres")
                sql(OWN, "postgres", live=live, owner=owner)
            _load(["pg_dump", f"--snapshot={snapshot}"], live)
    with _new(live):
        found = restore.compared(live, {"facts": facts})
        sql("ANALYZE", live)
        return {**found, "version": sql("SHOW server_version", live)}


def _load(dump, live):
    """Copy what a dump has to the new server."""
    tables = run(*dump, "--section=pre-data")
    with _new(live):
        sql(loading.without_internals(tables), live)
    custom = [*dump, "--format=custom", "--compress=none"]
    target = [f"--host={HOST}", f"--username={_superuser()}", f"--dbname={live}"]
    for section in ("data", "post-data"):
        with chain([*custom, f"--section={section}"], ["pg_restore", "--exit-on-error", *target]):
            pass


def _fits(about, facts):
    """Raise Failed if the new server lacks what the database needs, or orders texts otherwise."""
    known = {*sql("SELECT name FROM pg_available_extensions", "postgres").split()}
    if lacking := {*facts["extensions"]} - known:
        raise Failed(f"the new server lacks the extensions {', '.join(sorted(lacking))}")
    locale = json.loads(sql(database.ABOUT))["locale"]
    if locale != about["locale"]:
        raise Failed(f"the new server has the locale {locale}, the database has {about['locale']}")


def reopen():
    """Open the site, and the database: the new one, or the old one if there is no new one."""
    live = os.environ["PGDATABASE"]
    names = sql(swap.NAMES, "postgres").splitlines()
    shut = [name for name in names if name.startswith(f"{live}_upgrade_")]
    if shut and live not in names:
        sql(BACK, "postgres", shut=shut[-1], live=live)
    sql(swap.OPEN, "postgres", live=live)
    for path in (swap.CLOSED, MARK):
        if os.path.exists(path):
            os.remove(path)
    return {}


def is_at_work():
    """Return whether an upgrade goes on, after its job."""
    return os.path.exists(MARK) and time.time() - os.path.getmtime(MARK) < LATE


def heal():
    """Open the old database if an upgrade was cut off, or undone. Raises Failed."""
    if not is_at_work() and (os.path.exists(MARK) or _is_shut()):
        with volume.locked():
            reopen()


def _is_shut():
    """Return whether the database that an upgrade has closed is there, and no other one."""
    live, names = os.environ["PGDATABASE"], sql(swap.NAMES, "postgres").splitlines()
    return live not in names and any(name.startswith(f"{live}_upgrade_") for name in names)
