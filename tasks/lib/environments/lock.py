"""The lock of an environment, on its first server: one deploy at a time, none blocked for ever."""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from .. import console
from ..errors import ExitCode, RemoteCommandError, TaskError
from ..ssh.host import Host

# The exit status of the scripts when another deploy holds the lock.
GONE = 9
# Seconds until a lock that is not renewed ends, and between two renewals.
LEASE, RENEWAL = 45, 10

# Only the server's clock counts. flock makes look and take one step.
TAKE = """
set -eu; mkdir -p "$1"; cd "$1"; exec 9>guard; flock -w 10 9
if [ -e lock ]; then
    age=$(($(date +%s) - $(stat -c %Y lock)))
    # The clock was set back: a live holder renews the lock, any other lock ends as always.
    if [ "$age" -lt 0 ]; then touch lock; fi
    if [ "$age" -lt "$2" ]; then cat lock; exit 9; fi
    echo "stale: $(cat lock)"
fi
cat >lock
"""
RENEW = """
set -eu; cd "$1" 2>/dev/null || exit 9; exec 9>guard; flock -w 10 9
if grep -qs "$2" lock; then touch lock; else cat lock 2>/dev/null || true; exit 9; fi
"""
LEAVE = 'cd "$1"; exec 9>guard; flock -w 10 9; if grep -q "$2" lock; then rm lock; fi'
LOOK = 'cat "$1/lock" 2>/dev/null || true'
BREAK = 'rm -f "$1/lock"'


class LockLost(TaskError):
    """Another deploy holds the lock now: what is to be done is decided there."""


class Lock:
    """A lock that is held; a thread renews it until it is released."""

    def __init__(self, host: Host, path: str) -> None:
        self._host, self._path, self._token = host, path, uuid.uuid4().hex
        self._end, self._lost = threading.Event(), ""
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def take(self, doing: str) -> None:
        """Take it, and renew it from now on; see locked."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        note = json.dumps({"by": owner(), "doing": doing, "since": since, "token": self._token})
        try:
            output = self._host.run(TAKE, self._path, str(LEASE), text=note, changes=False)
        except RemoteCommandError as error:
            if error.status != GONE:
                raise
            hint = f"wait for it; if its owner is dead, the lock ends after {LEASE} s by itself"
            what = f"locked by {_describe(error.output)}"
            raise TaskError(what, hint, ExitCode.LOCKED) from None
        if output.startswith("stale: "):
            former = _describe(output.removeprefix("stale: "))
            console.warn(f"took over the lock of {former}, which was not renewed")
        self._thread.start()

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
        try:
            self._host.run(RENEW, self._path, self._token, changes=False)
        except RemoteCommandError as error:
            if error.status != GONE:
                raise
            self._lost = f"held by {_describe(error.output)}" if error.output else "it was removed"

    def _keep(self) -> None:
        while not self._end.wait(RENEWAL):
            try:
                self._renew()
            except TaskError as error:
                console.warn(f"the lock cannot be renewed now: {error}")

    def release(self) -> None:
        """Release it, if it is ours."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(2)
        with suppress(TaskError):
            self._host.run(LEAVE, self._path, self._token, changes=False)


def owner(env: Mapping[str, str] = os.environ) -> str:
    """Return who runs this: a CI job's user and address, or a person on a machine."""
    if env.get("CI_JOB_URL"):
        return f"{env.get('GITLAB_USER_LOGIN') or 'ci'} ({env['CI_JOB_URL']})"
    if env.get("GITHUB_RUN_ID"):
        run = f"{env.get('GITHUB_SERVER_URL')}/{env.get('GITHUB_REPOSITORY')}/actions/runs"
        return f"{env.get('GITHUB_ACTOR')} ({run}/{env['GITHUB_RUN_ID']})"
    return f"{getpass.getuser()}@{socket.gethostname()}"


@contextmanager
def locked(host: Host, path: str, doing: str) -> Iterator[Lock]:
    """Hold the lock of an environment; `doing` is shown to others who want it.

    Raises TaskError with exit status 4 when it is held; a dead holder's lock is taken over.
    """
    lock = Lock(host, path)
    # It is released also when we are interrupted while the server gives it to us.
    try:
        lock.take(doing)
        yield lock
    finally:
        lock.release()


def _describe(note: str) -> str:
    try:
        known = json.loads(note)
        return f"{known['by']}, {known['doing']} since {known['since']}"
    except (ValueError, KeyError):
        return "an unknown owner"


def holder(host: Host, path: str) -> str:
    """Return who holds the lock and what for; empty when it is free."""
    note = host.run(LOOK, path, changes=False).strip()
    return _describe(note) if note else ""
