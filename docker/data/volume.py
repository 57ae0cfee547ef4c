"""The volume with the backups: a folder for each, with the time of its snapshot as its name.

The manifest is written last: without one, it is no backup.
"""

import fcntl
import json
import os
import re
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import programs
from programs import Failed

FOLDER = os.environ.get("BACKUPS", "/backups")
MANIFEST, KEY, DUMP = "manifest.json", "key.age", "database.dump.age"
ROLES, MEDIA = "roles.sql.age", "media.tar.age"
NAME = re.compile(r"^\d{8}T\d{6}Z$")
FORMAT = "%Y%m%dT%H%M%SZ"


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
    os.makedirs(FOLDER, exist_ok=True)
    with open(f"{FOLDER}/.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy("another backup or restore is running") from None
        yield


def manifests():
    """Return the manifests of the backups on the volume, by name."""
    found = {}
    for name in filter(NAME.match, os.listdir(FOLDER) if os.path.isdir(FOLDER) else ()):
        path = f"{FOLDER}/{name}/{MANIFEST}"
        if os.path.exists(path):
            with open(path) as file:
                found[name] = json.load(file)
    return found


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
