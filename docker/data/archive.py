"""The archive of the database, for any point in time: base backups and the write-ahead log.

pgBackRest works in the database's own container (docker/archive/), which is asked by SQL.
"""

import json
import os
import time

import database
import storage
import volume
from database import sql
from programs import Failed, chain, in_memory, run, save

# The secret that encrypts the archive; and its copy for the team, which only their keys open.
SECRET, COPY = "ARCHIVE_KEY", "archive.key.age"
# Seconds from one full base backup to the next; the others have what differs.
WEEK = 7 * 24 * 60 * 60
# Seconds that what was written last may take to be archived.
PATIENCE = 60
STATE = """
SELECT json_build_object('on', current_setting('archive_mode') = 'on',
  'stanza', 'pg-' || (SELECT system_identifier FROM pg_control_system()),
  'archived', extract(epoch FROM last_archived_time)::bigint,
  'failed', extract(epoch FROM last_failed_time)::bigint,
  'waiting', (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
  'oldest', (SELECT extract(epoch FROM min(modification))::bigint
    FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
  'dropped', (SELECT extract(epoch FROM modification)::bigint
    FROM pg_stat_file('archive.dropped', true)))
FROM pg_stat_archiver"""
BACKUP = r"""
CREATE TEMPORARY TABLE said (line text);
COPY said FROM PROGRAM :'command' (FORMAT csv, DELIMITER e'\x01', QUOTE e'\x02');
SELECT line FROM said"""
# A transaction of now is the sign that recovery has passed a time of before; its file is closed.
FLUSH = "SELECT pg_current_xact_id(); SELECT pg_walfile_name(pg_switch_wal())"


def wanted():
    """Return whether the database is archived."""
    return bool(database.read(SECRET))


def state():
    """Return what the database says of its archiving; see STATE."""
    return json.loads(sql(STATE, "postgres"))


def due(base, found, every, now):
    """Return which base backup is due: full, diff for the difference to the last one, or none.

    Args:
        base: what is noted of the last one.
        found: what state says.
        every: seconds between two of them.
    """
    if not found["on"]:
        # A deploy replaces the database after the service that asks it.
        return ""
    if found["dropped"] and found["waiting"]:
        # It would wait for the archive. It is made when that works again.
        return ""
    if now < base.get("failed", 0) + min(every, 15 * 60):
        return ""
    if base.get("stanza") != found["stanza"] or found["dropped"]:
        return "full"
    if now >= base["full"] + WEEK:
        return "full"
    return "diff" if now >= base["last"] + every else ""


def make(kind):
    """Make a base backup; return what is noted of it."""
    found = state()
    if kind == "full":
        _keep_key()
    *lines, status = sql(
        BACKUP, "postgres", command=f"pgbackrest-archive backup {kind}"
    ).splitlines()
    if status != "status 0":
        why = next((line for line in lines if "ERROR" in line), status)
        raise Failed(f"archive: {why.partition('ERROR: ')[2] or why}")
    bases = next(each for each in info() if each["name"] == found["stanza"])["backup"]
    times = [each["timestamp"]["stop"] for each in bases]
    full = max(each["timestamp"]["stop"] for each in bases if each["type"] == "full")
    return {"stanza": found["stanza"], "full": full, "last": max(times), "first": min(times)}


def _keep_key():
    """Store the secret of the archive beside it, for whoever has a key of the team."""
    readers = os.environ.get("BACKUP_RECIPIENTS", "").splitlines()
    path = f"{volume.FOLDER}/{COPY}"
    if os.path.exists(f"{path}.new"):
        os.remove(f"{path}.new")
    to = [word for reader in readers for word in ("--recipient", reader)]
    encrypt = ["age", "--encrypt", *to]
    with in_memory(database.read(SECRET)) as key, chain(encrypt, source=key) as output:
        save(output, f"{path}.new")
    if place := storage.bucket():
        storage.rclone("copyto", f"{path}.new", f"{place}/{COPY}")
    os.replace(f"{path}.new", path)


def backrest(*words):
    """Return what pgBackRest prints, run as the owner of the archive."""
    secrets = {
        "CIPHER_PASS": SECRET,
        "S3_KEY": "BACKUP_ACCESS_KEY_ID",
        "S3_KEY_SECRET": "BACKUP_SECRET_ACCESS_KEY",  # pragma: allowlist secret
    }
    values = {f"PGBACKREST_REPO1_{key}": database.read(name) for key, name in secrets.items()}
    os.environ.update({key: value for key, value in values.items() if value})
    return run("pgbackrest", *words, user="postgres")


def info():
    """Return the clusters that the archive knows, each with its base backups."""
    return json.loads(backrest("info", "--output=json"))


def flush():
    """Have all that was committed until now archived, if the database and the storage answer."""
    try:
        last = sql(FLUSH, "postgres").splitlines()[-1]
        deadline = time.monotonic() + PATIENCE
        arrived = "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver"
        while sql(arrived, "postgres")[:24] < last and time.monotonic() < deadline:
            time.sleep(0.5)
    except Failed:
        # The database may be gone: the archive is what there is.
        return
