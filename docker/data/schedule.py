"""Make a backup whenever it is time, and keep what is known of the last ones in a file."""

import json
import os
import signal
import sys
import time
from contextlib import suppress

import archive
import backup
import catalog
import database
import measures
import restore
import scratch
import storage
import swap
import upgrade
import volume
from programs import Failed

STATE, RELEASE = (f"{volume.FOLDER}/{name}.json" for name in ("state", "release"))
# Seconds: between two looks at the clock; until a backup that failed is tried again.
PAUSE, AGAIN = 3, 15 * 60
# Seconds between two looks at the archive.
ARCHIVE = 30
# Days that a database is kept whose place a restored one has taken.
DAYS = 7


def known(path=STATE):
    """Return what is known of the last backup and the last drill, or what another file has."""
    try:
        with open(path) as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return {}


def report():
    """Return what is known, and what the database says: its archive, its order of texts, and the
    databases that restores have kept, each with when a backup may remove it."""
    found = known()
    with suppress(Failed):
        found |= {"reordered": True} if database.is_reordered() else {}
        found["kept"] = {name: _outlived(name) for name in swap.kept()}
    if archive.wanted():
        try:
            found["archive"] = archive.state()
        except Failed as failed:
            found["archive"] = {"problem": str(failed)}
    return found


def note(**values):
    """Add to what is known."""
    _write(STATE, {**known(), **values})


def note_release(about):
    """Note which release runs, for the manifests of the backups that the schedule makes."""
    _write(RELEASE, about)


def _write(path, values):
    with open(f"{path}.new", "w") as file:
        json.dump(values, file)
    os.replace(f"{path}.new", path)


def once(about, upload=True):
    """Make a backup, copy it to the storage, delete old ones; note how it went.

    Args:
        upload: whether it is no backup unless the storage has it.
    Returns its manifest, and a line for each problem.
    """
    problems = []
    try:
        manifest = backup.make(about)
        try:
            storage.upload(manifest["name"])
        except Failed as failed:
            if upload:
                raise
            problems.append(str(failed))
    except volume.Busy:
        raise
    except (Failed, OSError) as failed:
        note(failed=time.time(), why=str(failed))
        raise
    keep = [int(os.environ[key]) for key in ("BACKUP_KEEP", "BACKUP_DAYS")]
    problems += [] if problems else catalog.tidy(*keep)
    for name in swap.kept():
        if time.time() > _outlived(name):
            swap.drop(name)
    note(good=volume.moment(manifest["name"]).timestamp(), why="; ".join(problems))
    return manifest, problems


def _outlived(name):
    """Return until when a database is kept that a restore has made or kept."""
    return volume.moment(name[-16:].upper()).timestamp() + DAYS * 24 * 60 * 60


def main(every, about):
    """Make backups for ever, `every` so many seconds, until the container is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if port := os.environ.get("METRICS"):
        measures.serve(int(port), lambda: measures.text(known(), every))
    database.ready()
    looked = 0
    while True:
        _heal()
        if archive.wanted() and time.time() >= looked + ARCHIVE:
            looked = time.time()
            _archive(every)
        last, tried = known().get("good", 0), known().get("failed", 0)
        if time.time() >= max(last + every, min(tried + AGAIN, tried + every)):
            try:
                manifest, problems = once({**known(RELEASE), **about})
                print(
                    f"backup {manifest['name']} in {manifest['seconds']} s",
                    *problems,
                    sep="; ",
                    flush=True,
                )
            except volume.Busy:
                # It is no failure, and does not wait as long as after one.
                pass
            except (Failed, OSError) as failed:
                print(f"backup failed: {failed}", file=sys.stderr, flush=True)
        time.sleep(PAUSE)


def _archive(every):
    """Make a base backup for the archive if one is due, and note how it went."""
    base, now = known().get("base", {}), time.time()
    try:
        if kind := archive.due(base, archive.state(), every, now):
            note(base=archive.make(kind))
            print(f"{kind} base backup in {time.time() - now:.1f} s", flush=True)
    except Failed as failed:
        note(base={**base, "failed": now, "why": str(failed)})
        print(f"base backup failed: {failed}", file=sys.stderr, flush=True)


def _heal():
    """End what a killed restore or upgrade has left, unless one is at work.

    The server of before an upgrade can come back at any time: a rollback replaces it, too.
    """
    with suppress(Failed):
        upgrade.heal()
    if os.path.exists(upgrade.MARK):
        return
    if restore.is_broken() or scratch.is_left():
        with suppress(Failed), volume.locked():
            # Without an archive, nothing may be done as another user.
            if scratch.is_left():
                scratch.clear()
            restore.clear()
            swap.reopen()
