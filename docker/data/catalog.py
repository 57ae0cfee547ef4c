"""The backups that there are, on the volume and in the storage."""

import base64
import os
import shutil
from datetime import UTC, datetime, timedelta

import storage
import volume
from programs import Failed


def listed():
    """Return what backups there are, the newest first, and what is wrong with the storage."""
    here, problem = volume.manifests(), ""
    try:
        there = storage.manifests()
    except Failed as failed:
        there, problem = {}, f"storage: {failed}"
    dumps = {
        name.removesuffix(".dump"): {
            "kind": "deploy",
            "bytes": os.path.getsize(f"{volume.FOLDER}/{name}"),
        }
        for name in (os.listdir(volume.FOLDER) if os.path.isdir(volume.FOLDER) else ())
        if name.endswith(".dump") and volume.NAME.match(name.removesuffix(".dump"))
    }
    known = dumps | there | here
    backups = [
        {**known[name], "name": name, "key": _key(name, name in here, name in there),
         "places": ["volume"] * (name in here or name in dumps) + ["storage"] * (name in there)}
        for name in sorted(known, reverse=True)
    ]  # fmt: skip
    return {"backups": backups, "problem": problem}


def _key(name, here, there):
    """Return a backup's own key, encrypted to the team's, as base64."""
    if here:
        with open(f"{volume.FOLDER}/{name}/{volume.KEY}", "rb") as file:
            return base64.b64encode(file.read()).decode()
    return base64.b64encode(storage.key(name)).decode() if there else ""


def fetched(name):
    """Return the folder of a backup on the volume, downloaded if it is only in the storage.

    Raises Failed if there is no such backup, or a file differs from its manifest.
    """
    folder = f"{volume.FOLDER}/{name}"
    if not os.path.exists(f"{folder}/{volume.MANIFEST}"):
        if not storage.bucket():
            raise Failed(f"no backup {name}")
        part = f"{folder}.part"
        shutil.rmtree(part, ignore_errors=True)
        try:
            storage.download(name, part)
            if not os.path.exists(f"{part}/{volume.MANIFEST}"):
                raise Failed(f"no backup {name}")
            os.rename(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    volume.verify(folder)
    return folder


def tidy(count, days):
    """Delete old backups in both places; return a line for each problem.

    The newest `count` stay, and all that are younger than `days`. Call it after a good backup.
    """
    oldest = datetime.now(UTC) - timedelta(days=days)

    def old(names):
        return [n for n in sorted(names, reverse=True)[count:] if volume.moment(n) < oldest]

    for name in old(volume.manifests()):
        os.remove(f"{volume.FOLDER}/{name}/{volume.MANIFEST}")
        shutil.rmtree(f"{volume.FOLDER}/{name}")
    for name in filter(volume.NAME.match, os.listdir(volume.FOLDER)):
        folder = f"{volume.FOLDER}/{name}"
        if os.path.isdir(folder) and not os.path.exists(f"{folder}/{volume.MANIFEST}"):
            shutil.rmtree(folder)
    try:
        storage.delete(old(storage.manifests()))
    except Failed as failed:
        return [f"storage: {failed}"]
    return []
