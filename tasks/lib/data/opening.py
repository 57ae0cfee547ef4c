"""The backup that a person means, opened with the person's identity."""

from __future__ import annotations

import os.path
from typing import Any

from ..environments.connection import Target
from . import backups, fetched


def opened(target: Target, wanted: str, identity: str) -> tuple[dict[str, Any], str]:
    """Return the backup that is meant, on the servers or in a file here, and its own key."""
    if os.path.exists(wanted):
        found = fetched.read(wanted)
    else:
        found = backups.choose(backups.listed(target)["backups"], wanted)
    return found, backups.key(found, identity)
