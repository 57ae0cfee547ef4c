"""The history of an environment: its records, kept by its orchestrator or on a server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import Any

from ..errors import ExitCode, TaskError
from ..orchestrators.stack import Stack, load
from ..orchestrators.status import RECORD, Evidence, Store
from ..redaction import redact
from .records import DAMAGED, Record

# A record's files beside its own: the stack, the specs that the orchestrator made of it, and what
# was left of the replica or job that failed.
STACK, APPLIED, EVIDENCE = "stack.json", "applied.json", "evidence.json"
# How many characters of a line are kept: a cluster's record has at most 1 MB.
LONGEST = 2000


class History:
    """Reads and writes the history of one environment.

    Args:
        place: where the history was read from; empty before that.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.place = ""

    def read(self) -> list[Record]:
        """Return all records, the newest first; one that cannot be read is marked as damaged.

        Raises TaskError when there is a history that cannot be read.
        """
        self.place, found = self._store.read()
        return [self._record(number, found[number]) for number in sorted(found, reverse=True)]

    def _record(self, number: int, text: str) -> Record:
        known = {each.name for each in fields(Record)}
        with suppress(ValueError, TypeError, AttributeError):
            given = json.loads(text).items()
            return Record(**{key: value for key, value in given if key in known})
        why = f"{self.place}/{number}/{RECORD} is damaged"
        return Record(number, "", "", "?", state=DAMAGED, why=why)

    def problems(self) -> list[str]:
        """Return why nothing can be written."""
        return self._store.problems()

    def begin(self, record: Record, wanted: Stack) -> Record:
        """Record that a deploy begins, with its stack."""
        begun = replace(record, began=datetime.now(UTC).isoformat(timespec="seconds"))
        self._write(record, STACK, wanted.text())
        self.write(begun)
        return begun

    def write(self, record: Record) -> None:
        """Write a record."""
        self._write(record, RECORD, json.dumps(asdict(record)))

    def write_applied(self, record: Record, specs: Mapping[str, Any]) -> None:
        """Record the specs that the orchestrator made of a record's stack."""
        self._write(record, APPLIED, json.dumps(specs, indent=1))

    def write_evidence(self, record: Record, evidence: Evidence) -> None:
        """Record what was left of the replica or job that failed; secrets are masked."""
        lines, events = (
            [redact(line)[:LONGEST] for line in each] for each in (evidence.lines, evidence.events)
        )
        kept = replace(evidence, health=redact(evidence.health), lines=lines, events=events)
        self._write(record, EVIDENCE, json.dumps(asdict(kept)))

    def evidence(self, record: Record) -> Evidence | None:
        """Return what was left of what failed; None if nothing is recorded."""
        with suppress(ValueError, TypeError):
            return Evidence(**json.loads(self._store.show(record.number, EVIDENCE) or ""))
        return None

    def _write(self, record: Record, file: str, text: str) -> None:
        self._store.write(record.number, file, text)

    def stack(self, record: Record, name: str) -> Stack:
        """Return the stack of a record. Raises TaskError when it is missing or damaged."""
        return load(name, record.image, json.dumps(self._load(record, STACK)))

    def applied(self, record: Record) -> dict[str, Any]:
        """Return the specs of a record's services. Raises TaskError like stack."""
        return self._load(record, APPLIED)

    def _load(self, record: Record, file: str) -> dict[str, Any]:
        text = self._store.show(record.number, file)
        try:
            return dict(json.loads(text or ""))
        except (ValueError, TypeError):
            state = "missing" if text is None else "damaged"
            what = f"{self.place or self._store.name}/{record.number}/{file} is {state}"
            raise TaskError(what, "inv history shows other releases", ExitCode.REFUSED) from None

    def versions(self) -> set[str]:
        """Return the names of secrets and configs that recorded stacks use, and some more."""
        return self._store.named()

    def forget(self, old: Sequence[Record]) -> None:
        """Delete records."""
        if old:
            self._store.delete([record.number for record in old])
