"""What a container logs, line by line, until its pod is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from httpx2 import Client

# Seconds without a line after which a connection may be a dead one: then it is made again.
QUIET = 60
# The pause before the next connection.
PAUSE = 1
MISSING = 404


def followed(http: Client, path: str, params: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a log until its pod is gone.

    It goes on where a lost connection, or a container that was restarted, has ended.

    Args:
        params: which lines of the log to begin with.
    """
    import httpx2

    last, asked = "", dict(params)
    while True:
        resumed = last
        options = {**asked, "follow": "true", "timestamps": "true"}
        try:
            with http.stream("GET", path, params=options, timeout=QUIET) as answer:
                if answer.status_code == MISSING:
                    return
                # A container that has not started has no log yet.
                for line in answer.iter_lines() if answer.is_success else ():
                    written, _, text = line.partition(" ")
                    last = written
                    if written > resumed:
                        yield text
        except httpx2.TransportError:
            pass
        if last:
            # To the second: what was shown is left out above.
            asked = {"container": params["container"], "sinceTime": last}
        time.sleep(PAUSE)
