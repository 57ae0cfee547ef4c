"""S3-compatible storage: the folders of the volume once more, by rclone."""

import json
import os

import database
import programs
import volume
from programs import Failed

# Seconds after which what an interrupted upload has left is removed.
LEFT = 24 * 60 * 60
RCLONE = (
    "rclone",
    "--retries=2",
    "--low-level-retries=2",
    "--log-level=ERROR",
)


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


def manifests():
    """Return the manifests of the backups in the storage, by name. Raises Failed if it is gone."""
    if not (place := bucket()):
        return {}
    options = ("--recursive", "--files-only", f"--include=/*/{volume.MANIFEST}")
    paths = [each["Path"] for each in json.loads(rclone("lsjson", *options, f"{place}/"))]
    names = [path.split("/")[0] for path in paths if volume.NAME.match(path.split("/")[0])]
    return {name: json.loads(rclone("cat", f"{place}/{name}/{volume.MANIFEST}")) for name in names}


def upload(name):
    """Copy a backup to the storage, read it back, and publish its manifest last."""
    if not (place := bucket()):
        return
    here, there = f"{volume.FOLDER}/{name}", f"{place}/{name}"
    with open(f"{here}/{volume.MANIFEST}") as file:
        files = json.load(file)["files"]
    rclone("copy", f"--exclude=/{volume.MANIFEST}", here, f"{there}/")
    for each, wanted in files.items():
        with programs.chain([*RCLONE, "cat", f"{there}/{each}"]) as output:
            found = programs.measure(output)
        if found != wanted:
            raise Failed(f"storage: {each} was not stored as it was sent")
    rclone("copyto", f"{here}/{volume.MANIFEST}", f"{there}/{volume.MANIFEST}")


def download(name, folder):
    """Copy the files of a backup to a folder."""
    rclone("copy", f"{bucket()}/{name}/", folder)


def key(name):
    """Return a backup's own key, encrypted to the team's."""
    with programs.chain([*RCLONE, "cat", f"{bucket()}/{name}/{volume.KEY}"]) as output:
        return output.read()


def delete(names):
    """Delete backups, and what interrupted uploads have left."""
    for name in names:
        rclone("deletefile", f"{bucket()}/{name}/{volume.MANIFEST}")
        rclone("delete", f"{bucket()}/{name}/")
    if place := bucket():
        try:
            rclone("cleanup", f"--max-age={LEFT}s", f"{place}/")
        except Failed as failed:
            # So do some servers call that there is none.
            if "NoSuchUpload" not in str(failed):
                raise
