"""Lay this image's hashed static files, the compressed ones too, where the proxy serves them from.

Files of earlier releases stay for KEEP days, so that a page loaded before a deploy finds its own.
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
    """The files whose name changes with their content, as the manifest of Django tells them."""
    with open(f"{SOURCE}/staticfiles.json") as file:
        names = json.load(file)["paths"].values()
    return [f"{name}{end}" for name in names for end in ("", ".gz", ".br")]


def lay(source, target):
    """Copy a file whole or not at all; one that is there only becomes young again."""
    if os.path.exists(target):
        os.utime(target)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    # Swarm may run this twice on a server at the same time.
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
