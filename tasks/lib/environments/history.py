"""The releases of an environment: a directory each, on its first server."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import ExitCode, TaskError
from ..orchestrators.swarm import stack
from . import lock

if TYPE_CHECKING:
    from ..ssh.host import Host

READ = (
    'cd "$1/releases" 2>/dev/null || exit 0; for each in */release.json; do cat "$each"; echo; done'
)
STACK = 'cat "$1/releases/$2/stack.json"'
# One after another, with what no JSON has in between.
STACKS = 'set -e; cd "$1/releases"; for each in */stack.json; do cat "$each"; printf "\\f"; done'
# Whole or not at all: a file is written beside, then moved.
WRITE = """
set -eu; umask 077; mkdir -p "$1/releases/$2"; cd "$1/releases/$2"
cat >"$3.part"; mv "$3.part" "$3"
"""
DELETE = 'cd "$1/releases" && shift && rm -rf -- "$@"'

RUNNING, GOOD, UNDONE, FAILED = "running", "succeeded", "undone", "failed"


@dataclass(frozen=True)
class Release:
    """What was put on the servers, and how that ended.

    Args:
        state: running, succeeded, undone or failed. One that is running while nobody has the lock
            was cut off.
        kind: deploy or rollback.
        began: when (ISO 8601).
        seconds: how long it took.
        migrations: what it did to the database: the migrations' names.
        final: those of them that cannot be reversed.
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
    """The history of one environment.

    Args:
        host: the server that keeps it.
        path: the environment's folder there.
    """

    def __init__(self, host: Host, path: str) -> None:
        self._host, self._path = host, path

    def read(self) -> list[Release]:
        """All that are remembered, the newest first. A record that is cut off is left out."""
        found = []
        for line in self._host.run(READ, self._path, changes=False).splitlines():
            try:
                found.append(Release(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return sorted(found, key=lambda each: each.number, reverse=True)

    def begin(self, release: Release, wanted: stack.Stack) -> Release:
        """Record that a release begins, with its stack."""
        begun = replace(release, began=datetime.now(UTC).isoformat(timespec="seconds"))
        name = str(release.number)
        self._host.run(WRITE, self._path, name, "stack.json", text=wanted.text())
        self.write(begun)
        return begun

    def write(self, release: Release) -> None:
        """Record what is known of a release now."""
        text = json.dumps(asdict(release))
        self._host.run(WRITE, self._path, str(release.number), "release.json", text=text)

    def stack(self, release: Release, name: str) -> stack.Stack:
        """The stack of a release. Raises TaskError when it is not there."""
        from ..ssh.host import RemoteCommandError

        try:
            text = self._host.run(STACK, self._path, str(release.number), changes=False)
        except RemoteCommandError:
            what = f"release {release.number} has no stack on the server"
            raise TaskError(what, "inv releases shows others", ExitCode.REFUSED) from None
        return stack.load(name, release.image, text)

    def stacks(self) -> list[dict[str, Any]]:
        """What is in the stacks of all that are remembered."""
        texts = self._host.run(STACKS, self._path, changes=False).split("\f")
        return [json.loads(text) for text in texts if text.strip()]

    def forget(self, old: list[Release]) -> None:
        """Delete releases."""
        if old:
            self._host.run(DELETE, self._path, *(str(each.number) for each in old))


def current(history: list[Release]) -> Release | None:
    """The release that runs: the newest that succeeded."""
    return next((each for each in history if each.state == GOOD), None)


def number(history: list[Release]) -> int:
    """The next release's number."""
    return max((each.number for each in history), default=0) + 1


def new(history: list[Release], image: str, revision: str, force: str) -> Release:
    """The next release, of an image."""
    return Release(number(history), image, revision, lock.owner(), why=force)


def new_rollback(history: list[Release], goal: Release, force: str) -> Release:
    """The next release, that goes back to another."""
    why = force or f"to release {goal.number}"
    by = lock.owner()
    return Release(number(history), goal.image, goal.revision, by, kind="rollback", why=why)


def rollback_target(history: list[Release], wanted: str = "") -> Release:
    """The release to go back to: of a number, or the last good one with another image or stack.

    Raises TaskError when there is none.
    """
    good = [each for each in history if each.state == GOOD]
    if wanted:
        found = next((each for each in good if str(each.number) == wanted), None)
        if found:
            return found
        known = ", ".join(str(each.number) for each in good) or "none"
        raise TaskError(
            f"no release {wanted} to go back to", f"there are: {known}", ExitCode.REFUSED
        )
    if len(good) < 2:
        raise TaskError(
            "there is no release before this one", "inv releases shows all", ExitCode.REFUSED
        )
    return _origin(good)


def _origin(good: list[Release]) -> Release:
    """The one before the current; after a rollback, the one before that which it went back to."""
    now = good[0]
    index = next(
        (place for place, each in enumerate(good[1:], 1) if now.kind == "rollback" and
         each.kind == "deploy" and each.digest == now.digest), 0,
    )  # fmt: skip
    rest = good[index + 1 :]
    if not rest:
        raise TaskError(
            "there is no release before this one", "inv releases shows all", ExitCode.REFUSED
        )
    return next((each for each in rest if each.digest != now.digest), rest[0])


def irreversible_since(history: list[Release], target: Release) -> list[str]:
    """The migrations made since a release that cannot be reversed."""
    since = [each for each in history if each.number > target.number]
    return list(dict.fromkeys(name for each in since for name in each.final))


def forgettable(history: list[Release], keep: int) -> list[Release]:
    """The releases that need not be remembered: all but the newest and the two newest good ones."""
    good = [each for each in history if each.state == GOOD][:2]
    return [each for each in history[keep:] if each not in good]
