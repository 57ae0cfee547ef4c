"""Records of deploys and rollbacks: which one runs, where to go back to, which are forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..errors import ExitCode, TaskError
from ..orchestrators.status import Service
from ..project import contract
from . import lock

RUNNING, GOOD, UNDONE, FAILED = "running", "succeeded", "undone", "failed"
# The state of a record that cannot be read.
DAMAGED = "damaged"


@dataclass(frozen=True)
class Record:
    """The record of a deploy or rollback.

    Args:
        state: running, succeeded, undone, failed or damaged. A deploy that is "running" while the
            lock is free was killed.
        began: when (ISO 8601).
        final: those of its migrations that are irreversible.
        backup: the name of the backup that was made before.
        why: why it failed, or why it was forced.
        url_verified: whether it was checked at its address, and not on its server only.
        closed: it failed, and a later deploy found nothing to do: what runs is what is wanted.
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
    url_verified: bool = True
    closed: bool = False

    @property
    def digest(self) -> str:
        """The image's digest."""
        return self.image.rpartition("@")[2]


def running_release(services: Mapping[str, Service]) -> str:
    """Return the one release whose label all services bear; empty if they differ or none runs."""
    labels = {service.release for service in services.values()}
    return labels.pop() if len(labels) == 1 and contract.APP in services else ""


def current(history: Sequence[Record], services: Mapping[str, Service]) -> Record | None:
    """Return the record of what runs.

    That is the release whose label all services bear, if it succeeded or all its replicas are
    healthy. Where labels differ, a deploy stopped halfway: then it is the newest that succeeded.
    """
    good = [record for record in history if record.state == GOOD]
    label = running_release(services)
    healthy = all(service.progress.done for service in services.values())
    for record in history:
        if str(record.number) == label and (healthy or record in good):
            return record
    return good[0] if good else None


def next_number(history: Sequence[Record], services: Mapping[str, Service]) -> int:
    """Return the next number, which neither a record nor a running service has had."""
    labels = (service.release for service in services.values())
    used = [int(label) for label in labels if label.isdigit()]
    return max([record.number for record in history] + used, default=0) + 1


def new_deploy(number: int, image: str, revision: str, force: str, verify_url: bool) -> Record:
    """Return the record of a deploy of an image."""
    return Record(number, image, revision, lock.owner(), why=force, url_verified=verify_url)


def new_rollback(number: int, goal: Record, force: str, verify_url: bool) -> Record:
    """Return the record of a rollback to another record."""
    why = force or f"to release {goal.number}"
    made = new_deploy(number, goal.image, goal.revision, why, verify_url)
    return replace(made, kind="rollback")


def unverified_since(history: Sequence[Record], now: Record | None) -> int:
    """Return the release since which no good one was checked at its address; 0 for none."""
    since = 0
    for record in history:
        if now and record.number <= now.number and record.state == GOOD:
            if record.url_verified:
                break
            since = record.number
    return since


def rollback_target(
    history: Sequence[Record], now: Record | None = None, wanted: str = ""
) -> Record:
    """Return the record to go back to, a good one; without a number, that before what runs.

    Raises TaskError when there is none.
    """
    good = [record for record in history if record.state == GOOD]
    if wanted:
        goals = [record for record in good if str(record.number) == wanted]
        known = ", ".join(str(record.number) for record in good) or "none"
        what, hint = f"no release {wanted} to go back to", f"known: {known}"
    else:
        goals = _before(good, now) if now else []
        what, hint = "no release before this one", "inv history shows all of them"
    if not goals:
        raise TaskError(what, hint, ExitCode.REFUSED)
    return goals[0]


def _before(good: Sequence[Record], now: Record) -> list[Record]:
    """Return those before what runs, or before that which it went back to; same images last."""
    rest = [record for record in good if record.number < now.number]
    if now.kind == "rollback":
        same = [each.kind == "deploy" and each.digest == now.digest for each in rest]
        rest = rest[same.index(True) + 1 :] if True in same else rest
    return sorted(rest, key=lambda record: record.digest == now.digest)


def irreversible_since(history: Sequence[Record], goal: Record) -> list[str]:
    """Return the irreversible migrations since a record; what a damaged record lost may be one."""
    since = [record for record in history if record.number > goal.number]
    names = [name for record in since for name in record.final]
    names += [f"what release {each.number} migrated" for each in since if each.state == DAMAGED]
    return list(dict.fromkeys(names))


def forgettable(history: Sequence[Record], keep: int, now: Record | None = None) -> list[Record]:
    """Return the records to forget: all but the newest ones, what runs and the newest good ones.

    An irreversible migration is remembered as long as a release before it.
    """
    good = [record for record in history if record.state == GOOD][:2]
    kept = [*history[:keep], *good, *([now] if now else [])]
    oldest = min((record.number for record in kept if record.state == GOOD), default=0)
    kept += [record for record in history if record.final and record.number > oldest]
    return [record for record in history if record not in kept]
