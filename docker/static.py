"""Copy this image's static files, compressed ones too, to the folder that the proxy serves.

Files with a hash in the name stay for KEEP days: a page loaded before a deploy finds its own.
Without Django's manifest no name has a hash: each file replaces the earlier version's.
The project's static file error.html, if there is one, is the proxy's page for its own errors.
Usage: static.py FOLDER
"""

import json
import os
import shutil
import sys
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

SOURCE = f"/app/{os.environ['APP_STATIC']}"
PAGE = "error.html"
KEEP = 30


def manifest():
    """Return for each static file its name with a hash, as listed in Django's manifest, if any."""
    with suppress(FileNotFoundError), open(f"{SOURCE}/staticfiles.json") as file:
        return json.load(file)["paths"]
    found = (Path(place, name) for place, _, names in os.walk(SOURCE) for name in names)
    names = (str(path.relative_to(SOURCE)) for path in found)
    return {name: name for name in names}


def lay(source, target, hashed):
    """Copy a file atomically; if it exists with a hash in its name, only update its time."""
    if hashed and os.path.exists(target):
        os.utime(target)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with replaced(target) as part:
        shutil.copyfile(source, part)


def lay_page(hashed, target):
    """Write the error page; it names static files without their hashes."""
    with open(f"{SOURCE}/{PAGE}") as file:
        text = file.read()
    for name, full in hashed.items():
        text = text.replace(f'"/static/{name}"', f'"/static/{full}"')
    with replaced(target) as part, open(part, "w") as file:
        file.write(text)


@contextmanager
def replaced(target):
    """Yield the name of a file that takes the place of another one at the end."""
    # Swarm may run this job twice at once on the same server.
    part = f"{target}.{uuid.uuid4().hex}.part"
    yield part
    os.replace(part, target)


def main(folder):
    hashed = manifest()
    for plain, full in hashed.items():
        for name in (full, f"{full}.gz", f"{full}.br"):
            if os.path.exists(f"{SOURCE}/{name}"):
                lay(f"{SOURCE}/{name}", f"{folder}/{name}", full != plain)
    if PAGE in hashed:
        lay_page(hashed, f"{folder}/{PAGE}")
    old = time.time() - KEEP * 24 * 60 * 60
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                if os.stat(f"{place}/{name}").st_mtime < old:
                    os.remove(f"{place}/{name}")


if __name__ == "__main__":
    main(sys.argv[1])
