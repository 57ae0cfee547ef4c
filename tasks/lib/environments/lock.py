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
from typing import TYPE_CHECKING, Any

from .. import console
from ..errors import ExitCode, TaskError

if TYPE_CHECKING:
    from ..ssh.host import Host

# What the scripts exit with when somebody else has it.
GONE = 9
# Seconds that the lock holds without being renewed, and between two renewals.
LEASE, RENEWAL = 45, 10

# Only the server's own clock is looked at. flock makes looking and taking one step.
TAKE = """
set -eu; mkdir -p "$1"; cd "$1"; exec 9>guard; flock -w 10 9
if [ -e lock ]; then
    age=$(($(date +%s) - $(stat -c %Y lock)))
    # The clock was set back: an owner who lives renews it, and any other ends as always.
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
    """Somebody else has taken the lock over: what is to be done is theirs to do."""


class Lock:
    """A lock; renewed by a thread from when it was taken until it is left."""

    def __init__(self, host: Host, path: str, token: str) -> None:
        self._host, self._path, self._token = host, path, token
        self._end, self._lost = threading.Event(), ""
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def check(self) -> None:
        """Raises LockLost when somebody else is known to have taken the lock over meanwhile."""
        if self._lost:
            what = f"the lock was lost: {self._lost}; all is left as it is"
            raise LockLost(what, "see inv status; then run this again", ExitCode.PERSON)

    def confirm(self) -> None:
        """The same, after a look: this machine may have slept since the lock was last renewed.

        Raises TaskError when the server does not tell.
        """
        try:
            self._renew()
        except TaskError:
            # A connection that broke meanwhile is found to be so by using it, then opened again.
            self._renew()
        self.check()

    @property
    def lost(self) -> bool:
        """Whether somebody else has taken it over, as far as the server tells."""
        with suppress(TaskError):
            self._renew()
        return bool(self._lost)

    def _renew(self) -> None:
        from ..ssh.host import RemoteCommandError

        try:
            self._host.run(RENEW, self._path, self._token, changes=False)
        except RemoteCommandError as error:
            if error.status != GONE:
                raise
            who = f"{_tell(error.said)}, has it now" if error.said else "somebody else took it"
            self._lost = who

    def _keep(self) -> None:
        while not self._end.wait(RENEWAL):
            try:
                self._renew()
            except TaskError as error:
                console.warn(f"the lock cannot be renewed now: {error}")

    def keep(self) -> None:
        """Renew it from now on."""
        self._thread.start()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(2)
        with suppress(TaskError):
            self._host.run(LEAVE, self._path, self._token, changes=False)


def owner(env: Mapping[str, str] = os.environ) -> str:
    """Who is at work here: a CI job's user and address, or a person on a machine."""
    if env.get("CI_JOB_URL"):
        return f"{env.get('GITLAB_USER_LOGIN') or 'ci'} ({env['CI_JOB_URL']})"
    if env.get("GITHUB_RUN_ID"):
        run = f"{env.get('GITHUB_SERVER_URL')}/{env.get('GITHUB_REPOSITORY')}/actions/runs"
        return f"{env.get('GITHUB_ACTOR')} ({run}/{env['GITHUB_RUN_ID']})"
    return f"{getpass.getuser()}@{socket.gethostname()}"


@contextmanager
def locked(host: Host, path: str, doing: str) -> Iterator[Lock]:
    """Have an environment for oneself.

    Args:
        path: the environment's folder on the server.
        doing: what for, told to others who want it.
    Raises TaskError with exit status 4 when another holds it; a dead owner's lock is taken over.
    """
    from ..ssh.host import RemoteCommandError

    token = uuid.uuid4().hex
    since = datetime.now(UTC).isoformat(timespec="seconds")
    note = {"by": owner(), "doing": doing, "since": since, "token": token}
    # It is left again even when we are interrupted while the server gives it to us.
    with Lock(host, path, token) as lease:
        try:
            said = host.run(TAKE, path, str(LEASE), text=json.dumps(note), changes=False)
        except RemoteCommandError as error:
            if error.status != GONE:
                raise
            raise _locked(error.said) from None
        if said.startswith("stale: "):
            former = _tell(said.removeprefix("stale: "))
            console.warn(f"took over the lock of {former}, long silent")
        lease.keep()
        yield lease


def _locked(note: str) -> TaskError:
    hint = f"wait for it; if its owner is dead, the lock ends after {LEASE} s by itself"
    return TaskError(f"locked by {_tell(note)}", hint, ExitCode.LOCKED)


def _tell(note: str) -> str:
    try:
        known: dict[str, Any] = json.loads(note)
        return f"{known['by']}, {known['doing']} since {known['since']}"
    except (ValueError, KeyError):
        return "somebody unknown"


def holder(host: Host, path: str) -> str:
    """Who has the environment and what for; empty when nobody has."""
    note = host.run(LOOK, path, changes=False).strip()
    return _tell(note) if note else ""


def unlock(host: Host, path: str) -> None:
    """Take the lock away, whoever has it."""
    host.run(BREAK, path)
