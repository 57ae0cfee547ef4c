"""Restore the database as of a point in time: a scratch server recovers it from the archive."""

import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import archive
import database
import restore
import storage
from programs import Failed, chain, run

FOLDER = "/archive"
SCRATCH, LOG, ACCESS = (f"{FOLDER}/scratch{end}" for end in ("", ".log", ".hba"))
# It archives nothing, and writes what will be thrown away.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": FOLDER,
    "hba_file": ACCESS,
    "archive_mode": "off",
    "hot_standby": "off",
    "fsync": "off",
    "autovacuum": "off",
    "ssl": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "lc_messages": "C",
    "timezone": "UTC",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
}
# The name of a point of no time: all that was archived.
LATEST = "latest"
LAST = re.compile(r"last completed transaction was at log time (\S+ \S+)")
EARLY = "recovery ended before configured recovery target was reached"


class Early(Failed):
    """The archive ends before the time that is wanted."""


def at(when, kind="restored"):
    """Restore the database as of a time into a new one beside the live one; see restore.beside.

    Args:
        when: a time of ISO 8601 with its zone, or "latest".
    """
    live, started = os.environ["PGDATABASE"], time.monotonic()
    new = f"{live}_{kind}_{storage.now().lower()}"
    with storage.locked():
        clear()
        archive.flush()
        stanza, base = choose(archive.info(), when, _major())
        _room(base)
        try:
            found = _restored(new, live, stanza, base, when)
        except Early:
            # Of a cluster that is gone, what it has archived is all that there is of that time.
            if stanza == archive.state()["stanza"]:
                raise
            found = _restored(new, live, stanza, base, LATEST)
    extra = sorted(database.migrations(new) - database.migrations())
    return {"seconds": round(time.monotonic() - started, 1), "extra": extra, **found}


def _restored(new, live, stanza, base, when):
    """Recover a base backup until a time, and copy what it has; leave nothing if that fails."""
    try:
        _fetch(stanza, base, when)
        with _server() as reached:
            return {"database": new, "reached": reached, **_copied(new, live)}
    except BaseException:
        restore.drop(new)
        raise
    finally:
        clear()


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
    wanted, free = base["info"]["size"] * 2, shutil.disk_usage(FOLDER).free
    if free < wanted:
        raise Failed(f"disk full: it needs {wanted >> 20} MB, {free >> 20} MB are free")


def _fetch(stanza, base, when):
    """Write a base backup to the scratch folder, and what recovery needs to know."""
    run("install", "--directory", "--mode=700", SCRATCH, user="postgres")
    target = [] if when == LATEST else ["--type=time", f"--target={_target(when)}"]
    target += ["--target-action=promote"] if target else []
    words = [f"--stanza={stanza}", f"--set={base['label']}", f"--pg1-path={SCRATCH}"]
    archive.backrest(*words, *target, "restore")


def _target(when):
    return datetime.fromisoformat(when).astimezone(UTC).isoformat(" ")


@contextmanager
def _server():
    """Yield the time of the last transaction that the scratch server has recovered."""
    run("tee", ACCESS, text="local all all trust\n", user="postgres")
    options = " ".join(f"-c {key}='{value}'" for key, value in SETTINGS.items())
    words = ["pg_ctl", f"--pgdata={SCRATCH}", f"--log={LOG}", f"--options={options}"]
    try:
        run(*words, "start", user="postgres")
        while not _recovered():
            time.sleep(0.5)
    except Failed as failed:
        raise _reason(str(failed)) from None
    try:
        found = LAST.search(_log())
        yield found[1] if found else "no transaction since the base backup"
    finally:
        _quietly("pg_ctl", f"--pgdata={SCRATCH}", "--mode=immediate", "stop")


def _recovered():
    """Return whether the scratch server answers. Raises Failed if it has ended instead."""
    try:
        with database.reached(PGHOST=FOLDER, PGUSER=_user()):
            return database.sql("SELECT 1", "postgres")
    except Failed:
        run("pg_ctl", f"--pgdata={SCRATCH}", "status", user="postgres")
        return ""


def _reason(failed):
    """Return why recovery failed: what the server says, rather than who has started it."""
    log = _log()
    if EARLY in log:
        found = LAST.search(log)
        end = found[1] if found else "the base backup"
        return Early(f"the archive ends at {end}: --at=latest restores all of it")
    fatal = [line.partition("FATAL:")[2].strip() for line in log.splitlines() if "FATAL:" in line]
    return Failed(f"recovery: {fatal[-1]}" if fatal else failed)


def _log():
    return run("cat", LOG, user="postgres")


def _copied(new, live):
    """Copy the recovered database into a new one of the live server, and compare the two."""
    with database.reached(PGHOST=FOLDER, PGUSER=_user()):
        facts, about = database.facts(), json.loads(database.sql(database.ABOUT))
    restore.create(new, live, {**about, "facts": facts})
    place = [f"--host={FOLDER}", f"--username={_user()}"]
    dump = ["pg_dump", *place, "--format=custom", "--compress=none"]
    with chain(dump, ["pg_restore", "--exit-on-error", f"--dbname={new}"]):
        pass
    found = restore.compared(new, {"facts": facts})
    database.sql("ANALYZE", new)
    return found


def _user():
    """Return the superuser that each cluster has had from its beginning."""
    return os.environ.get("POSTGRES_SUPERUSER", os.environ["PGUSER"])


def is_left():
    """Return whether a killed restore has left its scratch server."""
    return os.path.exists(SCRATCH)


def clear():
    """Remove what the scratch server had."""
    _quietly("rm", "-rf", SCRATCH, LOG, ACCESS)


def _quietly(*words):
    try:
        run(*words, user="postgres")
    except Failed:
        return


def drill(when):
    """Prove that a point in time can be restored: restore it, remove it; return what was found."""
    found = at(when, "drill")
    restore.drop(found["database"])
    return found
