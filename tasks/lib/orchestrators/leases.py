"""The leases of a stack's lock: objects of Docker's, which gives each name only once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from ..docker.cli import DockerError
from ..docker.retry import again
from .engine import Engine, name_of
from .status import Lease

# Labels of our own: whatever removes the stack leaves them alone. Its text is a label too, which
# docker lists; the content would have to be inspected.
LABEL, TEXT = "deploy.lock", "deploy.lock.text"
# For each kind of object that a lease may be, what is said when it is made.
KINDS = {"config": ("-",), "volume": ()}


class Listed(NamedTuple):
    """A lease, from what docker says of the object that it is."""

    number: int
    id: str
    text: str
    made: str


class Leases:
    """The leases of a stack, each an object of a kind, from the one that was made first."""

    def __init__(self, engine: Engine, stack: str, kind: str) -> None:
        self._engine, self._stack, self._kind = engine, stack, kind
        self._end = KINDS[kind]

    def newest(self) -> Lease | None:
        """Return the newest lease; see base.Orchestrator.lease."""
        if not (found := self._listed()):
            return None
        # By the servers' clocks.
        info = json.loads(self._engine.query("info", "--format", "{{json .}}"))
        # Docker 26 exits with 0 although the engine does not answer: then this says so.
        now = info.get("SystemTime") or self._engine.info()["SystemTime"]
        age = datetime.fromisoformat(now) - datetime.fromisoformat(found[-1].made)
        return Lease(found[-1].number, found[-1].text, age.total_seconds())

    def take(self, former: Lease | None, text: str) -> Lease | None:
        """Make the lease after another one, or the first; see base.Orchestrator.take_lease."""
        number = former.number + 1 if former else 1
        found = again(partial(self._make, number, text))
        if self._engine.ctx.config.run.dry:
            return Lease(number, text)
        made = next((each for each in found if (each.number, each.text) == (number, text)), None)
        if made and _follows(made, former, found):
            # The one before stays: with it, a renewal whose answer was lost is known again.
            old = [each for each in found if each.number < number]
            self._remove(each for each in old if each.text != text or each.number < number - 1)
            return Lease(number, text)
        self._remove([made] if made else [])
        return None

    def _make(self, number: int, text: str) -> list[Listed]:
        """Make a lease, unless there is one with its number; return all leases."""
        labels = ("--label", f"{LABEL}={self._stack}", "--label", f"{TEXT}={text}")
        try:
            name = f"{self._stack}_lock_{number}"
            # If there is a volume of that name, docker says nothing and changes none of its labels.
            self._engine.run(self._kind, "create", *labels, name, *self._end, text="see its labels")
        except DockerError:
            found = self._listed()
            if number not in {each.number for each in found}:
                raise
            return found
        return self._listed()

    def drop(self, text: str) -> None:
        """Remove the leases with a text, and those before them; see base.Orchestrator."""
        found = self._listed()
        last = max((each.number for each in found if each.text == text), default=0)
        if old := [each.id for each in found if each.number <= last]:
            self._engine.run(self._kind, "rm", *old)

    def _remove(self, leases: Iterable[Listed]) -> None:
        """Remove leases; one that stays for now is removed later."""
        if old := [each.id for each in leases]:
            with suppress(DockerError):
                self._engine.run(self._kind, "rm", *old)

    def _listed(self) -> list[Listed]:
        """Return the leases, the oldest first: they are also removed in this order."""
        found = self._engine.objects(self._kind, f"label={LABEL}={self._stack}")
        return sorted(map(_listed, found))


def _listed(found: Mapping[str, Any]) -> Listed:
    labels, name = found.get("Spec", found)["Labels"], name_of(found)
    return Listed(
        int(name.rpartition("_")[2]), found.get("ID", name), labels[TEXT], found["CreatedAt"]
    )


def _follows(made: Listed, former: Lease | None, found: Iterable[Listed]) -> bool:
    """Return whether no other lease was made after the former one.

    The lease of another deploy would have this number, or would have replaced the former one.
    """
    if former is None:
        return list(found) == [made]
    return (former.number, former.text) in {(each.number, each.text) for each in found}
