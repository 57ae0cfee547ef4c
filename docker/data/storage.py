"""Where backups are: folders on the volume, and the same in S3-compatible storage.

A backup is a folder with the time of its snapshot as its name. Its manifest is written last:
without one, it is no backup.
"""

import base64
import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import database
import programs
from programs import Failed

FOLDER = os.environ.get("BACKUPS", "/backups")
MANIFEST, KEY, DUMP = "manifest.json", "key.age", "database.dump.age"
ROLES, MEDIA = "roles.sql.age", "media.tar.age"
NAME = re.compile(r"^\d{8}T\d{6}Z$")
FORMAT = "%Y%m%dT%H%M%SZ"
# What an interrupted run may have left is removed after so many seconds.
LEFT = 24 * 60 * 60
RCLONE = (
    "rclone",
    "--retries=2",
    "--low-level-retries=2",
    "--log-level=ERROR",
)


def now():
    """Return the time as the name of a backup."""
    return time.strftime(FORMAT, time.gmtime())


def free():
    """Return the name of a backup of now that none has: a second has one at most."""
    while os.path.exists(f"{FOLDER}/{(name := now())}"):
        time.sleep(0.1)
    return name


def moment(name):
    """Return the time of a backup."""
    return datetime.strptime(name, FORMAT).replace(tzinfo=UTC)


class Busy(Failed):
    """Another backup or restore is running."""


@contextmanager
def locked():
    """Let one backup, restore or deletion work on the volume. Raises Busy if one does."""
    import fcntl

    os.makedirs(FOLDER, exist_ok=True)
    with open(f"{FOLDER}/.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy("another backup or restore is running") from None
        yield


def bucket():
    """Return the storage's place as rclone names it; empty without one."""
    place = os.environ.get("BACKUP_STORAGE", "").removeprefix("s3://").strip("/")
    if not place:
        return ""
    os.environ.update(
        RCLONE_S3_PROVIDER=os.environ.get("RCLONE_S3_PROVIDER", "Other"),
        RCLONE_S3_NO_CHECK_BUCKET="true",
        # A storage that says nothing for so long counts as gone.
        RCLONE_CONTIMEOUT=os.environ.get("RCLONE_CONTIMEOUT", "10s"),
        RCLONE_TIMEOUT=os.environ.get("RCLONE_TIMEOUT", "60s"),
        RCLONE_S3_ACCESS_KEY_ID=database.read("BACKUP_ACCESS_KEY_ID"),
        RCLONE_S3_SECRET_ACCESS_KEY=database.read("BACKUP_SECRET_ACCESS_KEY"),
        RCLONE_CONFIG="/dev/null",
        RCLONE_CACHE_DIR=os.environ["HOME"],
    )
    return f":s3:{place}"


def rclone(*words):
    """Return what rclone prints. Raises Failed with its reason."""
    return programs.run(*RCLONE, *words)


def of_volume():
    """Return the manifests of the backups on the volume, by name."""
    found = {}
    for name in filter(NAME.match, os.listdir(FOLDER) if os.path.isdir(FOLDER) else ()):
        path = f"{FOLDER}/{name}/{MANIFEST}"
        if os.path.exists(path):
            with open(path) as file:
                found[name] = json.load(file)
    return found


def of_storage():
    """Return the manifests of the backups in the storage, by name. Raises Failed if it is gone."""
    if not (place := bucket()):
        return {}
    options = ("--recursive", "--files-only", f"--include=/*/{MANIFEST}")
    paths = [each["Path"] for each in json.loads(rclone("lsjson", *options, f"{place}/"))]
    names = [path.split("/")[0] for path in paths if NAME.match(path.split("/")[0])]
    return {name: json.loads(rclone("cat", f"{place}/{name}/{MANIFEST}")) for name in names}


def listed():
    """Return what backups there are, the newest first, and what is wrong with the storage."""
    volume, problem = of_volume(), ""
    try:
        storage = of_storage()
    except Failed as failed:
        storage, problem = {}, f"storage: {failed}"
    dumps = {
        name.removesuffix(".dump"): {"kind": "deploy", "bytes": os.path.getsize(f"{FOLDER}/{name}")}
        for name in (os.listdir(FOLDER) if os.path.isdir(FOLDER) else ())
        if name.endswith(".dump") and NAME.match(name.removesuffix(".dump"))
    }
    known = dumps | storage | volume
    backups = [
        {**known[name], "name": name, "key": _key(name, name in volume, name in storage),
         "places": ["volume"] * (name in volume or name in dumps) + ["storage"] * (name in storage)}
        for name in sorted(known, reverse=True)
    ]  # fmt: skip
    return {"backups": backups, "problem": problem}


def _key(name, here, there):
    """Return a backup's own key, encrypted to the team's, as base64."""
    if here:
        with open(f"{FOLDER}/{name}/{KEY}", "rb") as file:
            return base64.b64encode(file.read()).decode()
    if there:
        with programs.chain([*RCLONE, "cat", f"{bucket()}/{name}/{KEY}"]) as output:
            return base64.b64encode(output.read()).decode()
    return ""


def upload(name):
    """Copy a backup to the storage, read it back, and publish its manifest last."""
    if not (place := bucket()):
        return
    here, there = f"{FOLDER}/{name}", f"{place}/{name}"
    with open(f"{here}/{MANIFEST}") as file:
        files = json.load(file)["files"]
    rclone("copy", f"--exclude=/{MANIFEST}", here, f"{there}/")
    for each, wanted in files.items():
        with programs.chain([*RCLONE, "cat", f"{there}/{each}"]) as output:
            found = programs.measure(output)
        if found != wanted:
            raise Failed(f"storage: {each} was not stored as it was sent")
    rclone("copyto", f"{here}/{MANIFEST}", f"{there}/{MANIFEST}")


def fetched(name):
    """Return the folder of a backup on the volume, downloaded if it is only in the storage.

    Raises Failed if there is no such backup, or a file differs from its manifest.
    """
    folder = f"{FOLDER}/{name}"
    if not os.path.exists(f"{folder}/{MANIFEST}"):
        place = bucket()
        if not place:
            raise Failed(f"no backup {name}")
        part = f"{folder}.part"
        shutil.rmtree(part, ignore_errors=True)
        try:
            rclone("copy", f"{place}/{name}/", part)
            if not os.path.exists(f"{part}/{MANIFEST}"):
                raise Failed(f"no backup {name}")
            os.rename(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    verify(folder)
    return folder


def verify(folder):
    """Compare the files of a backup with its manifest. Raises Failed at a difference."""
    with open(f"{folder}/{MANIFEST}") as file:
        files = json.load(file)["files"]
    for each, wanted in files.items():
        try:
            with open(f"{folder}/{each}", "rb") as file:
                found = programs.measure(file)
        except FileNotFoundError:
            raise Failed(f"{each} is missing") from None
        if found != wanted:
            sizes = f"{found['size']} of {wanted['size']} bytes"
            raise Failed(f"{each} is damaged: {sizes}, SHA-256 {found['sha256'][:12]}")


def tidy(count, days):
    """Delete old backups in both places; return a line for each problem.

    The newest `count` stay, and all that are younger than `days`. Call it after a good backup.
    """
    problems, oldest = [], datetime.now(UTC) - timedelta(days=days)

    def old(names):
        return [name for name in sorted(names, reverse=True)[count:] if moment(name) < oldest]

    for name in old(of_volume()):
        os.remove(f"{FOLDER}/{name}/{MANIFEST}")
        shutil.rmtree(f"{FOLDER}/{name}")
    for name in filter(NAME.match, os.listdir(FOLDER)):
        if os.path.isdir(f"{FOLDER}/{name}") and not os.path.exists(f"{FOLDER}/{name}/{MANIFEST}"):
            shutil.rmtree(f"{FOLDER}/{name}")
    try:
        for name in old(of_storage()):
            rclone("deletefile", f"{bucket()}/{name}/{MANIFEST}")
            rclone("delete", f"{bucket()}/{name}/")
        if place := bucket():
            rclone("cleanup", f"--max-age={LEFT}s", f"{place}/")
    except Failed as failed:
        problems.append(f"storage: {failed}")
    return problems
