"""The queue for a stack's lock: in order of arrival, and one that died in it blocks no other."""

from __future__ import annotations

import json
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace

from .. import console
from ..errors import ExitCode, TaskError
from ..messages.message import now
from ..orchestrators.base import Orchestrator
from ..orchestrators.status import Lease
from .lock import Lock, Locked, Terms, holder, owner

# How often a change of the queue is tried again when others change it at the same time.
TRIES = 20
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")


@dataclass(frozen=True)
class Waiter:
    """Who waits, what for and since when (ISO 8601); `beat` counts its signs of life."""

    by: str
    doing: str
    since: str
    token: str
    beat: int = 0

    def __str__(self) -> str:
        return f"{self.by} (waits since {self.since})"


class Queue:
    """The waiters of a stack, in one lease of a chain of their own, whose text is their list.

    Each waiter replaces the lease to join, to give a sign of life, and to leave: of several that do
    so at the same time one succeeds, and the others look again. A clock counts only as far as it
    shows how much time passes here.
    """

    def __init__(self, orchestrator: Orchestrator, terms: Terms) -> None:
        self._orchestrator, self._terms = orchestrator, terms
        self._leases = orchestrator.waiting()
        # The last sign of life of each waiter, and when it was seen first.
        self._seen: dict[str, tuple[int, float]] = {}
        self._beaten = 0.0

    def admit(self) -> None:
        """Raise Locked if others wait for the lock: who does not wait takes no turn of theirs."""
        lease = self._leases.newest()
        if lease and self._terms.live(lease) and (waiters := _read(lease)):
            what = f"{len(waiters)} wait for the lock, first {waiters[0]}"
            raise Locked(what, "add --wait=15m to wait behind them")

    def wait(self, take: Callable[[], None], doing: str, seconds: float) -> None:
        """Take the lock when it is our turn; say on whom we wait.

        Raises Locked, with who holds it, when the time is over. Whatever ends it, we have left.
        """
        me = Waiter(owner(), doing, now(), uuid.uuid4().hex)
        end, shown = time.monotonic() + seconds, ""
        try:
            while True:
                try:
                    ahead = self._look(me)
                    if not ahead:
                        return take()
                    said = f"behind {', '.join(map(str, ahead))}"
                except Locked as error:
                    said = str(error).partition(" - ")[0]
                except TaskError as error:
                    # The servers may answer the next time.
                    said = str(error)
                if said != shown:
                    console.say(f"waiting, until {_clock(end)} UTC: {said}")
                shown = said
                if (left := end - time.monotonic()) <= 0:
                    raise self._late(seconds, said)
                time.sleep(min(left, self._terms.poll))
        finally:
            with suppress(TaskError):
                self._change(lambda waiters: [w for w in waiters if w.token != me.token])

    def _late(self, seconds: float, said: str) -> Locked:
        """Return the error of a wait that was too long: it names who holds the lock."""
        held = None
        with suppress(TaskError):
            held = holder(self._orchestrator, self._terms)
        why = f"locked by {held}" if held and "locked by" not in said else ""
        what = ", ".join(filter(None, [why, said]))
        return Locked(f"waited {_words(seconds)}: {what}", "wait longer, or see inv status")

    def _look(self, me: Waiter) -> list[Waiter]:
        """Return who is before us; join, give a sign of life, and remove the dead."""
        due = time.monotonic() - self._beaten > self._terms.renewal

        def looked(waiters: Sequence[Waiter]) -> list[Waiter]:
            known = [each for each in waiters if not self._dead(each)]
            if me.token not in {each.token for each in known}:
                return [*known, me]
            return [replace(w, beat=w.beat + 1) if due and w.token == me.token else w
                    for w in known]  # fmt: skip

        found = self._change(looked)
        if due:
            self._beaten = time.monotonic()
        return found[: [each.token for each in found].index(me.token)]

    def _dead(self, waiter: Waiter) -> bool:
        """Return whether it gave no sign of life for as long as we have watched it."""
        beat, since = self._seen.get(waiter.token, (-1, 0.0))
        if beat != waiter.beat:
            self._seen[waiter.token] = waiter.beat, time.monotonic()
            return False
        return time.monotonic() - since > self._terms.lease

    def _change(self, change: Callable[[Sequence[Waiter]], list[Waiter]]) -> list[Waiter]:
        """Change the list of waiters, and return it. Raises TaskError if others always win."""
        for _ in range(TRIES):
            lease = self._leases.newest()
            old = _read(lease)
            made = change(old)
            if made == old:
                return made
            if not made and lease:
                self._leases.drop(lease.text)
                return made
            if self._leases.take(lease, json.dumps([asdict(each) for each in made])):
                return made
            # Those who tried at the same time try again at different times.
            time.sleep(self._terms.poll / 4 * random.random())  # noqa: S311 - no secret
        raise TaskError("the queue for the lock changes all the time", "retry")


def _read(lease: Lease | None) -> list[Waiter]:
    """Return the waiters of a lease; none of one that cannot be read."""
    try:
        return [Waiter(**each) for each in json.loads(lease.text if lease else "[]")]
    except (ValueError, TypeError):
        return []


def duration(text: str) -> float:
    """Return a time such as 15m, 1h30m, 90s or 90 in seconds; 0 for none. Raises TaskError."""
    found = DURATION.fullmatch(text)
    if not found:
        raise TaskError(f"--wait={text} is no time", "use 15m, 1h30m or 90s", ExitCode.REFUSED)
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return 3600.0 * hours + 60 * minutes + seconds


def _words(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def _clock(end: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(time.time() + end - time.monotonic()))


@contextmanager
def locked(
    orchestrator: Orchestrator, doing: str, terms: Terms, seconds: float = 0
) -> Iterator[Lock]:
    """Hold the lock of a stack; `doing` is shown to others who want it.

    Args:
        seconds: how long to wait for it while others have it.
    Raises Locked, with exit status 4, when it is held; a dead holder's lock is taken over.
    """
    lock, queue = Lock(orchestrator, terms), Queue(orchestrator, terms)
    # It is released also when we are interrupted while the server gives it to us.
    try:
        try:
            lock.take(doing, queue.admit)
        except Locked:
            if not seconds:
                raise
            queue.wait(lambda: lock.take(doing), doing, seconds)
            lock.waited = True
        yield lock
    finally:
        lock.release()
