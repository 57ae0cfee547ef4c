"""The files that users have uploaded: stored beside the dump, brought back without deleting any."""

import os
import tarfile

from programs import Failed, chain, in_memory, save

FOLDER = "/srv/media"
# A file that is uploaded meanwhile is no failure: tar ends with 1, and the next backup has it.
STORE = ("sh", "-c", f"tar --create --directory={FOLDER} . || [ $? = 1 ]")
EXTRACT = ("tar", "--extract", "--skip-old-files", f"--directory={FOLDER}")


def stored(encrypt, path):
    """Write all files, encrypted, to one; return its size and its SHA-256."""
    with chain(STORE, encrypt) as output:
        return save(output, path)


def names(key, path):
    """Return the files that a backup has; reading it proves it. Raises Failed if it is damaged."""
    with opened(key, path) as output, tarfile.open(fileobj=output, mode="r|") as archive:
        return {os.path.normpath(each.name) for each in archive if not each.isdir()}


def opened(key, path, *words):
    """Decrypt a backup's files, for a program if one is given; yield what comes out."""
    decrypt = ["age", "--decrypt", "--identity", f"/proc/self/fd/{key}"]
    return chain(decrypt, *words, fds=(key,), source=open(path, "rb"))


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
    with in_memory(key) as number:
        wanted, before = names(number, path), here()
        with opened(number, path, EXTRACT):
            pass
    left = wanted - here()
    if left:
        raise Failed(f"{len(left)} files are not restored: {min(left)}")
    return {"restored": len(wanted - before), "surplus": len(before - wanted)}
