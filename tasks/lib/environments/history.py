"""The history of an environment: its deploys and rollbacks, each a folder on the first server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from ..errors import ExitCode, RemoteCommandError, TaskError
from ..orchestrators.stack import Stack, load
from ..ssh.host import Host
from . import lock

READ = (
    'cd "$1/releases" 2>/dev/null || exit 0; for each in */release.json; do cat "$each"; echo; done'
)
STACK = 'cat "$1/releases/$2/stack.json"'
# One after another, separated by what no JSON has.
STACKS = 'set -e; cd "$1/releases"; for each in */stack.json; do cat "$each"; printf "\\f"; done'
# Atomic: a file is written beside the old one, then renamed.
WRITE = """
set -eu; umask 077; mkdir -p "$1/releases/$2"; cd "$1/releases/$2"
cat >"$3.part"; mv "$3.part" "$3"
"""
DELETE = 'cd "$1/releases" && shift && rm -rf -- "$@"'

RUNNING, GOOD, UNDONE, FAILED = "running", "succeeded", "undone", "failed"


@dataclass(frozen=True)
class Record:
    """The record of a deploy or rollback.

    Args:
        state: running, succeeded, undone or failed. A deploy that is "running" while the lock is
            free was killed.
        began: when (ISO 8601).
        final: those of its migrations that are irreversible.
        backup: the name of the backup that was made before.
        why: why it failed, or why it was forced.
    """

    number: int
    image: str
    revision: str
    by: str
    kind: str = "deploy"
    state: str = RUNNING
    began: str = ""
    seconds: int = 0
    migrations: list[str] = field(default_factory=list)
    final: list[str] = field(default_factory=list)
    backup: str = ""
    why: str = ""

    @property
    def digest(self) -> str:
        """The image's digest."""
        return self.image.rpartition("@")[2]


class History:
    """Reads and writes the history of one environment, in its folder on a server."""

    def __init__(self, host: Host, path: str) -> None:
        self._host, self._path = host, path

    def read(self) -> list[Record]:
        """Return all records, the newest first. A truncated record is left out."""
        found = []
        for line in self._host.run(READ, self._path, changes=False).splitlines():
            with suppress(ValueError, TypeError):
                found.append(Record(**json.loads(line)))
        return sorted(found, key=lambda record: record.number, reverse=True)

    def begin(self, record: Record, wanted: Stack) -> Record:
        """Record that a deploy begins, with its stack."""
        begun = replace(record, began=datetime.now(UTC).isoformat(timespec="seconds"))
        self._write(record, "stack.json", wanted.text())
        self.write(begun)
        return begun

    def write(self, record: Record) -> None:
        """Write a record."""
        self._write(record, "release.json", json.dumps(asdict(record)))

    def _write(self, record: Record, file: str, text: str) -> None:
        self._host.run(WRITE, self._path, str(record.number), file, text=text)

    def stack(self, record: Record, name: str) -> Stack:
        """Return the stack of a record. Raises TaskError when it is missing."""
        try:
            text = self._host.run(STACK, self._path, str(record.number), changes=False)
        except RemoteCommandError:
            what = f"release {record.number} has no stack on the server"
            raise TaskError(what, "inv history shows others", ExitCode.REFUSED) from None
        return load(name, record.image, text)

    def stacks(self, name: str) -> list[Stack]:
        """Return the stacks of all records."""
        texts = self._host.run(STACKS, self._path, changes=False).split("\f")
        return [load(name, "", text) for text in texts if text.strip()]

    def forget(self, old: Sequence[Record]) -> None:
        """Delete records."""
        if old:
            self._host.run(DELETE, self._path, *(str(record.number) for record in old))


def current(history: Sequence[Record]) -> Record | None:
    """Return the record of what runs: the newest that succeeded."""
    return next((record for record in history if record.state == GOOD), None)


def number(history: Sequence[Record]) -> int:
    """Return the next number."""
    return max((record.number for record in history), default=0) + 1


def new_deploy(history: Sequence[Record], image: str, revision: str, force: str) -> Record:
    """Return the record of the next deploy of an image."""
    return Record(number(history), image, revision, lock.owner(), why=force)


def new_rollback(history: Sequence[Record], goal: Record, force: str) -> Record:
    """Return the record of the next rollback, to another record."""
    made = new_deploy(history, goal.image, goal.revision, force or f"to release {goal.number}")
    return replace(made, kind="rollback")


def rollback_target(history: Sequence[Record], wanted: str = "") -> Record:
    """Return the record to go back to, a good one. Raises TaskError when there is none."""
    good = [record for record in history if record.state == GOOD]
    if wanted:
        goals = [record for record in good if str(record.number) == wanted]
        known = ", ".join(str(record.number) for record in good) or "none"
        what, hint = f"no release {wanted} to go back to", f"known: {known}"
    else:
        goals = _before(good)
        what, hint = "no release before this one", "inv history shows all of them"
    if not goals:
        raise TaskError(what, hint, ExitCode.REFUSED)
    return goals[0]


def _before(good: Sequence[Record]) -> list[Record]:
    """Return those before the current, or before that which it went back to; same images last."""
    rest = good[1:]
    if good and good[0].kind == "rollback":
        same = [each.kind == "deploy" and each.digest == good[0].digest for each in rest]
        rest = rest[same.index(True) + 1 :] if True in same else rest
    return sorted(rest, key=lambda record: record.digest == good[0].digest)


def irreversible_since(history: Sequence[Record], goal: Record) -> list[str]:
    """Return the irreversible migrations since a record."""
    since = [record for record in history if record.number > goal.number]
    return list(dict.fromkeys(name for record in since for name in record.final))


def forgettable(history: Sequence[Record], keep: int) -> list[Record]:
    """Return the records to forget: all but the newest ones and the two newest good ones."""
    good = [record for record in history if record.state == GOOD][:2]
    return [record for record in history[keep:] if record not in good]
