"""What is shown of a replica that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# How many lines of its log are shown.
LAST = 15


def complaint(log: Sequence[Mapping[str, Any]]) -> str:
    """Return what a health check printed most since it failed; the last may only say "stopping"."""
    failed: list[str] = []
    for check in log:
        failed = [*failed, " ".join(check["Output"].split())] if check["ExitCode"] else []
    return max(failed, key=failed.count, default="")
