"""The files that users have uploaded: stored beside the dump, brought back without deleting any."""

import os
import shutil
import tarfile

from programs import Failed, chain, in_memory, save

FOLDER = "/srv/media"
# Where a file is until all of it is back.
PART = ".restored"
# A file that is uploaded meanwhile is no failure: tar ends with 1, and the next backup has it.
STORE = ("sh", "-c", f"tar --create --exclude=./{PART} --directory={FOLDER} . || [ $? = 1 ]")


def stored(encrypt, path):
    """Write all files, encrypted, to one; return its size and its SHA-256."""
    with chain(STORE, encrypt) as output:
        return save(output, path)


def names(key, path):
    """Return the files that a backup has; reading it proves it. Raises Failed if it is damaged."""
    with opened(key, path) as output, tarfile.open(fileobj=output, mode="r|") as archive:
        return {os.path.normpath(each.name) for each in archive if not each.isdir()}


def opened(key, path):
    """Decrypt a backup's files; yield what comes out."""
    decrypt = ["age", "--decrypt", "--identity", f"/proc/self/fd/{key}"]
    return chain(decrypt, fds=(key,), source=open(path, "rb"))


def here():
    """Return the files that there are."""
    return {
        os.path.relpath(f"{place}/{name}", FOLDER)
        for place, _, files in os.walk(FOLDER)
        for name in files
    }


def size():
    """Return how many bytes they have."""
    return sum(os.path.getsize(f"{FOLDER}/{name}") for name in here())


def restore(key, path):
    """Bring back what is missing; return how much, and how many files the backup lacks."""
    if not os.path.isdir(FOLDER):
        raise Failed("there is no place for uploaded files: app.media in invoke.yaml")
    _clear()
    with in_memory(key) as number:
        wanted, before = names(number, path), here()
        with opened(number, path) as output, tarfile.open(fileobj=output, mode="r|") as archive:
            for each in archive:
                _bring_back(archive, each)
    _clear()
    return {"restored": len(wanted - before), "surplus": len(before - wanted)}


def _bring_back(archive, member):
    """Extract what is missing, as it was; a file is there whole or not at all."""
    place = f"{FOLDER}/{os.path.normpath(member.name)}"
    if os.path.lexists(place):
        return
    if member.isdir():
        archive.extract(member, FOLDER, numeric_owner=True, filter="tar")
    else:
        archive.extract(member, f"{FOLDER}/{PART}", numeric_owner=True, filter="tar")
        os.rename(f"{FOLDER}/{PART}/{member.name}", place)


def _clear():
    shutil.rmtree(f"{FOLDER}/{PART}", ignore_errors=True)
