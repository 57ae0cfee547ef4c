"""What an environment's services logged."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from .. import console
from ..errors import ExitCode, TaskError
from ..orchestrators.base import LogOptions
from ..orchestrators.status import Service
from ..project import contract
from .connection import Target

# A commit of digits only is at least so long; the app here logs so much of a request's ID.
SHORTEST, SHOWN = 7, 8


@dataclass(frozen=True)
class Filter:
    """Which lines are shown.

    Args:
        request: the ID of a request: its lines in the proxy, the app and its jobs.
        pattern: a regular expression.
        release: a release's number, or a commit: the lines of its version.
    """

    request: str = ""
    pattern: str = ""
    release: str = ""

    def __bool__(self) -> bool:
        return bool(self.request or self.pattern or self.release)

    def patterns(self) -> Iterator[re.Pattern[str]]:
        """Yield what each line must have, besides its release. Raises TaskError."""
        if self.request:
            yield re.compile(re.escape(self.request))
        if self.pattern:
            try:
                yield re.compile(self.pattern)
            except re.error as error:
                what = f"--grep: {self.pattern!r} is no regular expression ({error})"
                hint = "put a backslash before a sign that stands for itself"
                raise TaskError(what, hint, ExitCode.REFUSED) from None


EVERY = Filter()


def show(target: Target, service: str, options: LogOptions, only: Filter = EVERY) -> None:
    """Show what a service logged, or all with the app's image; say if that is nothing.

    Raises TaskError if the service is unknown.
    """
    known = target.orchestrator.services()
    names = [service] if service else _ours(known, bool(only.request))
    if not names or set(names) - set(known):
        what = f"{target.name} has no service {service!r}" if service else "nothing runs yet"
        hint = f"known: {', '.join(sorted(known)) or 'none'}"
        raise TaskError(what, hint, ExitCode.REFUSED)
    patterns, shown = [*_patterns(target, only)], False
    for line in target.orchestrator.logs(names, options):
        if all(pattern.search(line) for pattern in patterns):
            shown = True
            console.result(line)
    if not shown:
        there = any(known[name].nodes for name in names)
        why = "" if there else f", as no replica of {' or '.join(names)} runs"
        console.say(f"no such line{why}")


def _ours(known: dict[str, Service], proxy: bool) -> list[str]:
    """Return the services with the app's image, and the proxy."""
    app = known.get(contract.APP)
    also: Collection[str] = {contract.PROXY} if proxy else ()
    return [
        name for name, each in known.items() if not app or each.image == app.image or name in also
    ]


def here(only: Filter) -> tuple[re.Pattern[str], ...]:
    """Return what lines of the app on this machine must have. Raises TaskError for a release."""
    if only.release:
        hint = "name an environment: --env=prod"
        raise TaskError("the app here is of no release", hint, ExitCode.REFUSED)
    return tuple(replace(only, request=only.request[:SHOWN]).patterns())


def _patterns(target: Target, only: Filter) -> Iterator[re.Pattern[str]]:
    """Yield what each line must have. Raises TaskError."""
    yield from only.patterns()
    if only.release:
        yield re.compile(f'"version": "{re.escape(_commit(target, only.release))}')


def _commit(target: Target, release: str) -> str:
    """Return the commit of a release by its number; a commit is returned as it is."""
    if len(release) >= SHORTEST or not release.isdecimal():
        return release
    for each in target.history.read():
        if str(each.number) == release:
            return each.revision
    hint = f"inv history --env={target.name} shows them"
    raise TaskError(f"no release {release}", hint, ExitCode.REFUSED)
