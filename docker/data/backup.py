"""Make a backup: a dump of one snapshot, encrypted as it is written, read back, then published."""

import json
import os
import shutil
import time

import database
import media
import volume
from programs import Failed, chain, in_memory, run, save

# The dump's share of the database that must be free where no earlier backup tells.
SHARE = 0.5


def make(about):
    """Make a backup; return its manifest.

    Args:
        about: what the manifest has besides: the release that wrote the data, why it was made.
    """
    started = time.monotonic()
    readers = os.environ.get("BACKUP_RECIPIENTS", "").splitlines()
    if not readers:
        raise Failed("no recipients: deploy.recipients in invoke.yaml")
    with volume.locked():
        _clear()
        name = volume.free()
        part = f"{volume.FOLDER}/{name}.part"
        os.mkdir(part, 0o700)
        try:
            manifest = _written(part, name, readers)
            manifest |= {"seconds": round(time.monotonic() - started, 1), **about}
            with open(f"{part}/{volume.MANIFEST}", "x") as file:
                json.dump(manifest, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.rename(part, f"{volume.FOLDER}/{name}")
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return manifest


def _clear():
    """Remove what killed runs have left."""
    for name in os.listdir(volume.FOLDER):
        if name.endswith(".part") and volume.NAME.match(name.removesuffix(".part")):
            path = f"{volume.FOLDER}/{name}"
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def _written(folder, name, readers):
    """Write the files of a backup to a folder and prove them; return the manifest."""
    identity = run("age-keygen", env={"LC_ALL": "C"})
    public = run("age-keygen", "-y", text=identity).strip()
    to = [word for reader in readers for word in ("--recipient", reader)]
    with database.snapshot() as (snapshot, about, facts):
        _room(about["bytes"])
        dump = ["pg_dump", "--format=custom", "--compress=zstd", f"--snapshot={snapshot}"]
        encrypt = ["age", "--encrypt", "--recipient", public]
        with chain(dump, encrypt) as output:
            files = {volume.DUMP: save(output, f"{folder}/{volume.DUMP}")}
    roles = ["pg_dumpall", "--roles-only", "--no-role-passwords"]
    with chain(roles, encrypt) as output:
        files[volume.ROLES] = save(output, f"{folder}/{volume.ROLES}")
    if os.path.isdir(media.FOLDER):
        # After the snapshot: what the database names is there.
        files[volume.MEDIA] = media.stored(encrypt, f"{folder}/{volume.MEDIA}")
    with in_memory(identity) as number:
        uploads = _uploads(number, folder, files)
        prove(f"{folder}/{volume.DUMP}", number, {*facts["tables"]})
        os.lseek(number, 0, os.SEEK_SET)
        with chain(["age", "--encrypt", *to], source=number) as output:
            files[volume.KEY] = save(output, f"{folder}/{volume.KEY}")
    return {
        "format": 1,
        "name": name,
        "kind": "backup",
        **about,
        "facts": facts,
        "files": files,
        "uploads": uploads,
        "public": public,
        "recipients": readers,
        "client": run("pg_dump", "--version").strip(),
    }


def _uploads(key, folder, files):
    """Read the stored uploads back; return how many files they are."""
    if volume.MEDIA not in files:
        return 0
    return len(media.names(key, f"{folder}/{volume.MEDIA}"))


def _room(size):
    """Refuse to begin where the disk is nearly full: the database may be on the same one."""
    known = [sum(f["size"] for f in each["files"].values()) for each in volume.manifests().values()]
    wanted = int(max(known, default=size * SHARE + media.size()) * 1.2)
    free = shutil.disk_usage(volume.FOLDER).free
    if free < wanted:
        raise Failed(f"disk full: a backup needs {wanted >> 20} MB, {free >> 20} MB are free")


def prove(path, key, tables):
    """Read a whole dump back, as a restore would. Raises Failed if it lacks a table.

    Args:
        key: the number of a file with the backup's own key.
        tables: the names of those that it must have.
    """
    said = []
    with open(path, "rb") as source:
        decrypt = ["age", "--decrypt", "--identity", f"/proc/self/fd/{key}"]
        read = ["pg_restore", "--verbose", "--file=/dev/null"]
        with chain(decrypt, read, fds=(key,), source=source, said=said):
            pass
    found = said[-1].count(": processing data for table ")
    if found < len(tables):
        raise Failed(f"the dump has {found} of {len(tables)} tables")
