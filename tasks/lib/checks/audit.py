"""What should not be shipped: known vulnerabilities, licences that are not allowed, secrets."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import console
from ..errors import TaskError
from ..project import git, requirements
from . import licences, secret_scan, vulnerabilities

if TYPE_CHECKING:
    from invoke import Context

    from ..project.settings import Audit

# The lock file of what ships; what only tools need may have any licence.
SHIPPED = "app"
MENDING = "see above; invoke.yaml, audit, tells how to accept one"
UNANSWERED = "try again, name a mirror in invoke.yaml (audit.database), or add --offline"


@dataclass(frozen=True)
class Part:
    """One thing that was looked at.

    Args:
        scope: how much of it, as "29 packages".
        problems: what was found, where, and what mends it.
        silent: why it could not be looked at; empty when it could.
    """

    name: str
    scope: str
    problems: Sequence[tuple[str, str, str]] = ()
    silent: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is something to do."""
        return bool(self.problems or self.silent)


def run(ctx: Context, rules: Audit, offline: bool) -> list[Part]:
    """Look at everything; offline, at what needs no database."""
    parts = [_secrets(), _licences(rules)]
    if offline:
        console.warn("known vulnerabilities are not looked up")
        return parts
    return [*parts, _vulnerabilities(ctx, rules)]


def _secrets() -> Part:
    files = git.files()
    advice = "change it where it is used, and take it out; or mark it: pragma: allowlist secret"
    found = [(each.kind, f"{each.path}:{each.line}", advice) for each in secret_scan.find(files)]
    return Part("secrets", f"{len(files)} files", found)


def _licences(rules: Audit) -> Part:
    pins = licences.shipped(requirements.pins(SHIPPED))
    problems = []
    for pin in pins:
        stated = licences.stated(pin)
        bad = [each for each in stated if not licences.allowed(each, rules.licences)]
        if pin.name not in rules.accepted and (bad or not stated):
            what = f"{pin.name} {pin.version}: {', '.join(bad) or 'tells no licence'}"
            problems.append((what, pin.file, "take another package, or allow it"))
    return Part("licences", f"{len(pins)} packages", problems)


def _vulnerabilities(ctx: Context, rules: Audit) -> Part:
    pins = requirements.pins()
    scope = f"{len({(pin.name, pin.version) for pin in pins})} packages"
    try:
        found = vulnerabilities.find(ctx, pins, rules.database)
    except TaskError as error:
        return Part("vulnerabilities", scope, silent=f"{error} - {UNANSWERED}")
    problems = []
    for each in found:
        if not rules.accepted.keys() & set(each.ids):
            files = [pin.file for pin in pins if (pin.name, pin.version) == each.package]
            mend = f"inv requirements --upgrade: {' or '.join(each.fixed) or 'none'} is free of it"
            text = textwrap.shorten(each.text, 70, placeholder=" ...")
            what = f"{' '.join(each.package)}: {each.ids[0]}: {text}"
            problems.append((what, " ".join(files), mend))
    return Part("vulnerabilities", scope, problems)


def conclude(parts: Sequence[Part]) -> None:
    """Print the problems, and a line for each part. Raises TaskError when there are any."""
    rows = [(part.name, *problem) for part in parts for problem in part.problems]
    if rows:
        console.result(console.table(rows, ("KIND", "WHAT", "WHERE", "THEN")))
    for part in parts:
        ended = console.colour("failed ", 31) if part.failed else console.colour("ok     ", 32)
        told = part.silent or f"{len(part.problems) or 'none'} in {part.scope}"
        console.say(f"{ended} {part.name}: {told}")
    if failed := [part.name for part in parts if part.failed]:
        raise TaskError(f"failed: {', '.join(failed)}", MENDING)
