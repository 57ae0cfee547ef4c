"""A scratch server, which recovers the database from the archive beside the live one."""

import os
import re
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import archive
import database
from programs import Failed, run

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


def fetch(stanza, base, when):
    """Write a base backup to the scratch folder, and what recovery needs to know."""
    run("install", "--directory", "--mode=700", SCRATCH, user="postgres")
    target = [] if when == LATEST else ["--type=time", f"--target={_target(when)}"]
    target += ["--target-action=promote"] if target else []
    words = [f"--stanza={stanza}", f"--set={base['label']}", f"--pg1-path={SCRATCH}"]
    archive.backrest(*words, *target, "restore")


def _target(when):
    return datetime.fromisoformat(when).astimezone(UTC).isoformat(" ")


@contextmanager
def server():
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
        with database.reached(PGHOST=FOLDER, PGUSER=user()):
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


def user():
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
