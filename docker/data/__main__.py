"""Backups of the database. The last line that it prints is what was done, as JSON.

Usage: data make [ABOUT] | dump [ABOUT] | list | schedule SECONDS ABOUT | beside NAME | swap NEW |
undo | drop NAME | kept | drill NAME | state | copy READER [SQL [COLUMNS]] | forget | uploads NAME |
receive NAME | release ABOUT | at TIME | prove TIME | move [last] | reopen. ABOUT is a JSON object
for the manifest; dump also succeeds if the storage does not answer; receive reads a tar.
"""

import json
import sys
import time

import catalog
import copying
import database
import point
import receiving
import restore
import schedule
import swap
import upgrade
import volume
from programs import Failed


def main(verb, *words):
    """Do what is asked; return what was done."""
    database.connect()
    if verb in {"make", "dump"}:
        about = json.loads(words[0]) if words else {}
        manifest, problems = schedule.once(about, upload=verb == "make")
        size = sum(each["size"] for each in manifest["files"].values())
        return {"name": manifest["name"], "problems": problems, "bytes": size}
    if verb == "schedule":
        return schedule.main(int(words[0]), json.loads(words[1]))
    if verb in {"drill", "prove"}:
        return drilled(verb, *words)
    verbs = {
        "list": lambda: {**catalog.listed(), "state": schedule.known()},
        "beside": restore.beside,
        "swap": swap.swap,
        "undo": swap.undo,
        "drop": swap.drop,
        "kept": swap.kept,
        "uploads": restore.uploads,
        "receive": receiving.receive,
        "release": lambda text: schedule.note_release(json.loads(text)),
        "copy": copying.make,
        "forget": copying.clear,
        "state": schedule.report,
        "at": point.at,
        "move": upgrade.move,
        "reopen": upgrade.reopen,
    }
    return verbs[verb](*words)


def drilled(verb, what):
    """Prove a backup, or for "prove" a point in time; note how it went, return what was found."""
    try:
        found = (restore.drill if verb == "drill" else point.drill)(what)
    except volume.Busy:
        raise
    except (Failed, OSError):
        schedule.note(drill_failed=time.time())
        raise
    if verb == "drill":
        schedule.note(drilled=what, drill=found, drilled_at=time.time())
    else:
        schedule.note(proven=time.time(), proof=found)
    return found


if __name__ == "__main__":
    try:
        print(json.dumps({"done": main(*sys.argv[1:])}), flush=True)
    except (Failed, OSError) as failed:
        sys.exit(f"data: {failed}")
