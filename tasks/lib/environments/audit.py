"""The audit log: who did what to an environment, when, from where, and how it ended.

It is beside the history, and stays when the environment is removed; see the stores' log.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from .. import console
from ..errors import TaskError, explain
from ..messages.message import now
from ..redaction import redact
from ..reports import Report
from . import lock

if TYPE_CHECKING:
    from .connection import Target

BEGINS, DONE = "begins", "done"
HEADS = ("time", "environment", "by", "address", "what", "how it ended")
# The longest text that a line has of each, in characters.
LONGEST = 1000


@contextmanager
def noted(target: Target, doing: str, what: str, why: str = "") -> Iterator[None]:
    """Note that a task begins, and how it ends; a log that cannot be written is a warning.

    Args:
        doing: what it does, as the lock says.
        what: to what, such as an image or a secret's name.
        why: the reason for which it is forced; secrets in it are masked.
    """
    forced = f", forced: {why}" if why else ""
    text = _short(f"{doing} {what}".strip() + forced)
    _append(target, text, BEGINS)
    try:
        yield
    except BaseException as error:
        _append(target, text, f"failed: {explain(error)}")
        raise
    _append(target, text, DONE)


def _short(text: str) -> str:
    """Return a text on one line, not too long, and without secrets."""
    return " ".join(redact(text).split())[:LONGEST]


def _append(target: Target, what: str, state: str) -> None:
    line = {
        "time": now(),
        "environment": target.name,
        "by": lock.owner(),
        "what": what,
        "state": _short(state),
    }
    try:
        target.store.log(json.dumps(line))
    except (TaskError, OSError) as error:
        console.warn(f"not in the audit log of {target.store.name}: {explain(error)}")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the log; `time` is ISO 8601, and `state` says how it ended or that it begins."""

    time: str = "-"
    environment: str = "-"
    by: str = "-"
    address: str = "-"
    what: str = "-"
    state: str = "-"


class AuditLog(Report, frozen=True, kw_only=True, tag="audit"):
    """The newest lines of the log of an environment, the newest first."""

    environment: str
    entries: list[Entry]

    def text(self) -> str:
        """Return a table."""
        rows = [tuple(map(str, msgspec.structs.astuple(each))) for each in self.entries]
        return console.table(rows, HEADS) if rows else "nothing is logged"


def read(target: Target, newest: int) -> AuditLog:
    """Return the newest lines of this environment; damaged ones are left out."""
    lines = (_line(text) for text in reversed(target.store.logged(newest)))
    mine = [line for line in lines if line.get("environment") == target.name]
    known = [{key: str(line[key]) for key in Entry.__struct_fields__ if key in line}
             for line in mine]  # fmt: skip
    return AuditLog(environment=target.name, entries=[Entry(**each) for each in known])


def _line(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        return {}
