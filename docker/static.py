"""Copy this image's hashed static files, compressed ones too, to the folder that the proxy serves.

Files of earlier versions stay for KEEP days, so that a page loaded before a deploy finds its own.
Usage: static.py FOLDER
"""

import json
import os
import shutil
import sys
import time
import uuid
from contextlib import suppress

SOURCE = "/app/static"
KEEP = 30


def hashed():
    """Return the files with a hash in their names, as listed in Django's manifest."""
    with open(f"{SOURCE}/staticfiles.json") as file:
        names = json.load(file)["paths"].values()
    return [f"{name}{end}" for name in names for end in ("", ".gz", ".br")]


def lay(source, target):
    """Copy a file atomically; if it exists already, only update its time."""
    if os.path.exists(target):
        os.utime(target)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    # Swarm may run this job twice at once on the same server.
    part = f"{target}.{uuid.uuid4().hex}.part"
    shutil.copyfile(source, part)
    os.replace(part, target)


def main(folder):
    for name in hashed():
        if os.path.exists(f"{SOURCE}/{name}"):
            lay(f"{SOURCE}/{name}", f"{folder}/{name}")
    old = time.time() - KEEP * 24 * 60 * 60
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                if os.stat(f"{place}/{name}").st_mtime < old:
                    os.remove(f"{place}/{name}")


if __name__ == "__main__":
    main(sys.argv[1])
