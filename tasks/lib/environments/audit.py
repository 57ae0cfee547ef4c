"""The audit log: who did what to an environment, when, from where, and how it ended.

It is beside the history, and stays when the environment is removed; see the stores' log.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .. import console
from ..errors import TaskError, explain
from ..messages.message import now
from ..redaction import redact
from . import lock

if TYPE_CHECKING:
    from .connection import Target

BEGINS, DONE = "begins", "done"
HEADS = ("time", "environment", "by", "address", "what", "how it ended")
# The longest reason that a line has.
LONGEST = 1000


@contextmanager
def noted(target: Target, doing: str, what: str) -> Iterator[None]:
    """Note that a task begins, and how it ends; a log that cannot be written is a warning.

    Args:
        doing: what it does, as the lock says.
        what: to what, such as an image or a secret's name.
    """
    _append(target, doing, what, BEGINS)
    try:
        yield
    except BaseException as error:
        _append(target, doing, what, f"failed: {explain(error)}")
        raise
    _append(target, doing, what, DONE)


def _append(target: Target, doing: str, what: str, state: str) -> None:
    line = {
        "time": now(),
        "environment": target.name,
        "by": lock.owner(),
        "what": f"{doing} {what}".strip(),
        "state": redact(state)[:LONGEST],
    }
    try:
        target.store.log(json.dumps(line))
    except (TaskError, OSError) as error:
        console.warn(f"not in the audit log of {target.store.name}: {explain(error)}")


def read(target: Target, newest: int) -> list[dict[str, Any]]:
    """Return the newest lines of this environment, the newest first; damaged ones are left out."""
    lines = (_line(text) for text in reversed(target.store.logged(newest)))
    return [line for line in lines if line.get("environment") == target.name]


def _line(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        return {}


def table(lines: list[dict[str, Any]]) -> str:
    """Return lines of the log as a table."""
    names = ("time", "environment", "by", "address", "what", "state")
    rows = [tuple(str(line.get(name, "-")) for name in names) for line in lines]
    return console.table(rows, HEADS) if rows else "nothing is logged"
