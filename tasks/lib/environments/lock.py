"""The lock of a stack: one deploy at a time, wherever it is started, and none blocked for ever."""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from .. import console
from ..errors import ExitCode, TaskError
from ..orchestrators.base import Orchestrator
from ..orchestrators.status import Lease


class Locked(TaskError):
    """Another one holds the lock, or waits for it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what, hint, ExitCode.LOCKED)


class LockLost(TaskError):
    """Another deploy holds the lock now: what is to be done is decided there."""


@dataclass(frozen=True)
class Terms:
    """How long a lock is held without a renewal, in seconds.

    Args:
        lease: after which a lease that was not renewed may be that of a dead owner.
        renewal: between two renewals.
        watch: for which such a lease is watched, longer than a renewal takes to come. Clocks may
            be wrong; a lease that is renewed meanwhile has a live owner.
        poll: between two looks of who waits for the lock.
    """

    lease: float = 45
    renewal: float = 10
    watch: float = 12
    poll: float = 2

    def live(self, lease: Lease) -> bool:
        """Return whether its owner is alive, as far as the servers' clocks show."""
        return 0 <= lease.age < self.lease


TERMS = Terms()


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, what for, and since when (ISO 8601)."""

    by: str
    doing: str = ""
    since: str = ""

    def __str__(self) -> str:
        return f"{self.by}, {self.doing} since {self.since}" if self.since else self.by


class Lock:
    """A lock that is held; a thread renews it until it is released."""

    # Whether it was waited for, while others had it.
    waited = False

    def __init__(self, orchestrator: Orchestrator, terms: Terms) -> None:
        self._orchestrator, self._terms = orchestrator, terms
        self._note, self._lost = "", ""
        self._lease: Lease | None = None
        self._renewing, self._end = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def take(self, doing: str, admit: Callable[[], None] = lambda: None) -> None:
        """Take it, and renew it from now on. Raises Locked if it is held, or if `admit` does."""
        former = self._former()
        admit()
        since = datetime.now(UTC).isoformat(timespec="seconds")
        note = {"by": owner(), "doing": doing, "since": since, "token": uuid.uuid4().hex}
        self._note = json.dumps(note)
        self._lease = self._orchestrator.take_lease(former, self._note)
        if self._lease is None:
            raise self._held(self._orchestrator.lease())
        if former:
            console.warn(f"took over the lock of {_holder(former)}, which was not renewed")
        self._thread.start()

    def _former(self) -> Lease | None:
        """Return the lease of a dead owner, if there is one. Raises TaskError for a live one's."""
        found = self._orchestrator.lease()
        if found and not self._terms.live(found):
            watch = f"watching it for {self._terms.watch:g} s"
            console.say(f"the lock of {_holder(found)} was not renewed in time: {watch}")
            time.sleep(self._terms.watch)
            seen, found = found, self._orchestrator.lease()
            if found == seen:
                return found
        if found:
            raise self._held(found)
        return None

    def _held(self, lease: Lease | None) -> Locked:
        dead = self._terms.lease + self._terms.watch
        hint = f"add --wait=15m; if its owner is dead, the lock ends after {dead:g} s by itself"
        return Locked(f"locked by {_holder(lease)}", hint)

    def check(self) -> None:
        """Raise LockLost if another deploy is known to hold the lock."""
        if self._lost:
            what = f"deploy lock lost ({self._lost}): stopped without rolling back"
            raise LockLost(what, "check inv status, then retry", ExitCode.PERSON)

    def confirm(self) -> None:
        """Renew the lock: this machine may have slept since the last time. Raises LockLost.

        Raises TaskError when the server does not answer.
        """
        try:
            self._renew()
        except TaskError:
            # A broken connection is noticed by using it, then opened again.
            self._renew()
        self.check()

    @property
    def lost(self) -> bool:
        """Whether another deploy holds the lock, as far as the server answers."""
        with suppress(TaskError):
            self._renew()
        return bool(self._lost)

    def _renew(self) -> None:
        with self._renewing:
            if self._lost:
                return
            if renewed := self._orchestrator.take_lease(self._lease, self._note):
                self._lease = renewed
                return
            found = self._orchestrator.lease()
            self._lost = f"held by {_holder(found)}" if found else "it was removed"

    def _keep(self) -> None:
        while not self._end.wait(self._terms.renewal):
            try:
                self._renew()
            except TaskError as error:
                console.warn(f"the lock cannot be renewed now: {error}")

    def release(self) -> None:
        """Release it, if it is ours."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(2)
        if self._note:
            with suppress(TaskError):
                self._orchestrator.drop_lease(self._note)


def owner(env: Mapping[str, str] = os.environ) -> str:
    """Return who runs this: a CI job's user and address, or a person on a machine."""
    if env.get("CI_JOB_URL"):
        return f"{env.get('GITLAB_USER_LOGIN') or 'ci'} ({env['CI_JOB_URL']})"
    if env.get("GITHUB_RUN_ID"):
        run = f"{env.get('GITHUB_SERVER_URL')}/{env.get('GITHUB_REPOSITORY')}/actions/runs"
        return f"{env.get('GITHUB_ACTOR')} ({run}/{env['GITHUB_RUN_ID']})"
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _holder(lease: Lease | None) -> Holder:
    try:
        known = json.loads(lease.text if lease else "")
        return Holder(str(known["by"]), str(known["doing"]), str(known["since"]))
    except (ValueError, KeyError, TypeError):
        return Holder("an unknown owner")


def holder(orchestrator: Orchestrator, terms: Terms, expired: bool = False) -> Holder | None:
    """Return who holds the lock and what for; None when it is free.

    Args:
        expired: a lock that its owner has not renewed in time counts, too.
    """
    lease = orchestrator.lease()
    return _holder(lease) if lease and (expired or terms.live(lease)) else None


def unlock(orchestrator: Orchestrator) -> None:
    """Remove the lock by force: its owner notices when it renews it."""
    if lease := orchestrator.lease():
        orchestrator.drop_lease(lease.text)
