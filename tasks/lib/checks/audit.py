"""The audit: known vulnerabilities, licences that are not allowed, secrets in the source."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from invoke import Context

from .. import console
from ..app import python
from ..errors import TaskError
from ..project import git, requirements
from ..project.settings import Audit
from . import licences, secret_scan, vulnerabilities

OFFLINE = "retry, set audit.database in invoke.yaml to a mirror, or add --offline"
MARK = "revoke it and remove it; if it is no secret, mark the line: pragma: allowlist secret"


@dataclass(frozen=True)
class Part:
    """The result of one part of the audit.

    Args:
        problems: the problem, its location, and the fix.
        error: why it could not be checked.
    """

    name: str
    scope: str
    problems: Sequence[tuple[str, str, str]] = ()
    error: str = ""


def run(ctx: Context, rules: Audit, offline: bool) -> list[Part]:
    """Check everything; offline, only what needs no database."""
    if offline:
        console.warn("offline: known vulnerabilities are not checked")
    return [_secrets(), _licences(ctx, rules), *([] if offline else [_vulnerabilities(ctx, rules)])]


def _secrets() -> Part:
    files = git.files()
    leaks = [(leak.kind, f"{leak.path}:{leak.line}", MARK) for leak in secret_scan.find(files)]
    return Part("secrets", f"{len(files)} files", leaks)


def _licences(ctx: Context, rules: Audit) -> Part:
    # What ships; a package that only tools need may have any licence.
    pins = licences.shipped(requirements.pins("app"))
    problems = []
    folder = python.packages(python.interpreter(ctx))
    for pin in pins:
        stated = licences.stated(pin, folder)
        bad = [licence for licence in stated if not licences.allowed(licence, rules.licences)]
        if pin.name not in rules.accepted and (bad or not stated):
            what = f"{pin.name} {pin.version}: {', '.join(bad) or 'no licence in its metadata'}"
            problems.append((what, pin.file, "replace the package, or accept it"))
    return Part("licences", f"{len(pins)} packages", problems)


def _vulnerabilities(ctx: Context, rules: Audit) -> Part:
    pins = requirements.pins()
    scope = f"{len({(pin.name, pin.version) for pin in pins})} packages"
    try:
        found = vulnerabilities.find(ctx, pins, rules.database)
    except TaskError as error:
        return Part("vulnerabilities", scope, error=f"{error} - {OFFLINE}")
    problems = []
    for known in found:
        if not rules.accepted.keys() & set(known.ids):
            files = [pin.file for pin in pins if (pin.name, pin.version) == known.package]
            fix = f"inv requirements --upgrade: fixed in {' or '.join(known.fixed) or 'no version'}"
            text = textwrap.shorten(known.text, 70, placeholder=" ...")
            what = f"{' '.join(known.package)}: {known.ids[0]}: {text}"
            problems.append((what, " ".join(files), fix))
    return Part("vulnerabilities", scope, problems)


def conclude(parts: Sequence[Part]) -> None:
    """Print the problems, and a line for each part. Raises TaskError if there are any."""
    rows = [(part.name, *problem) for part in parts for problem in part.problems]
    if rows:
        console.result(console.table(rows, ("KIND", "PROBLEM", "LOCATION", "FIX")))
    failed = [part.name for part in parts if part.problems or part.error]
    for part in parts:
        message = part.error or f"{len(part.problems) or 'none'} in {part.scope}"
        console.outcome(f"{part.name}: {message}", part.name not in failed)
    if failed:
        hint = "see above; the section audit of invoke.yaml shows how to accept one"
        raise TaskError(f"failed: {', '.join(failed)}", hint)
