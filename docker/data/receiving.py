"""Take in a backup that a person has fetched: a tar of its files, the manifest first."""

import json
import os
import shutil
import sys
import tarfile

import volume
from programs import Failed, save


def receive(name):
    """Store a backup from standard input on the volume, proven; return its name.

    Raises Failed if a file is damaged or missing, or another backup has the name.
    """
    if not volume.NAME.match(name):
        raise Failed(f"{name} is no name of a backup")
    folder, part = f"{volume.FOLDER}/{name}", f"{volume.FOLDER}/{name}.part"
    with volume.locked():
        shutil.rmtree(part, ignore_errors=True)
        os.mkdir(part, 0o700)
        try:
            _extract(part)
            volume.verify(part)
            if os.path.exists(folder):
                _require_same(folder, part)
                shutil.rmtree(folder)
            os.rename(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return name


def _extract(part):
    """Write the files of the tar to a folder; the manifest says how large they are."""
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
            for each in archive:
                if each.isfile() and "/" not in each.name:
                    save(archive.extractfile(each), f"{part}/{each.name}")
                if each.name == volume.MANIFEST:
                    _require_room(_manifest(part))
    except tarfile.TarError as error:
        raise Failed(f"not all of the backup has come: {error}") from None


def _manifest(folder):
    with open(f"{folder}/{volume.MANIFEST}") as file:
        return json.load(file)


def _require_room(manifest):
    wanted = sum(each["size"] for each in manifest["files"].values())
    free = shutil.disk_usage(volume.FOLDER).free
    if free < wanted:
        raise Failed(f"disk full: the backup has {wanted >> 20} MB, {free >> 20} MB are free")


def _require_same(folder, part):
    """Raise Failed if a folder is another backup: one of the same name may be damaged."""
    there = os.path.exists(f"{folder}/{volume.MANIFEST}")
    if there and _manifest(folder) != _manifest(part):
        raise Failed("the server has another backup of this name")
