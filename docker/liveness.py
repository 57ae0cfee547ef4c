"""Imported by uWSGI: a thread of each worker touches a file; the healthcheck reads its age.

However many requests keep the other threads busy, this one beats on.
"""

import threading
import time
from pathlib import Path

import uwsgi

FILE = Path("/tmp/heartbeat")  # noqa: S108
# Seconds between two beats.
PAUSE = 1
# Another hook that an imported module may have set.
_next = getattr(uwsgi, "post_fork_hook", None)


def start() -> None:
    """Start the thread in a worker, after the fork: threads do not survive it."""
    threading.Thread(target=beat, daemon=True).start()
    if _next:
        _next()


def beat() -> None:
    """Touch the file again and again."""
    while True:
        FILE.touch()
        time.sleep(PAUSE)


uwsgi.post_fork_hook = start
