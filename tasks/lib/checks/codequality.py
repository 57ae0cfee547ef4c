"""What a look at the code finds, and the report of it that GitLab reads."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import console
from ..errors import TaskError

if TYPE_CHECKING:
    from invoke import Context

# GitLab's names, the worst first.
SEVERITIES = ("blocker", "critical", "major", "minor", "info")
FAILING = SEVERITIES[:3]
ALLOWING = "what must stay is marked: # noqa: CHECK, or jscpd:ignore-start and jscpd:ignore-end"


@dataclass(frozen=True)
class Finding:
    """Something to mend, at a place in a file.

    Args:
        kind: lint, complexity, duplication or security.
        check: the rule's name.
        path: relative to the repository's root.
        line: the first line that it is about, from 1.
        code: the lines that it is about.
    """

    kind: str
    check: str
    severity: str
    path: str
    line: int
    text: str
    code: str

    @property
    def place(self) -> str:
        """The file and the line."""
        return f"{self.path}:{self.line}"


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first; within a severity by file and line."""
    return sorted(
        findings,
        key=lambda each: (SEVERITIES.index(each.severity), each.path, each.line, each.check),
    )


def fingerprints(findings: Sequence[Finding]) -> list[str]:
    """For each finding a hash of its own, the same wherever in its file the code stands.

    What it is made of is the file, the rule and the code without its white space, and a number for
    those that are equal in all of that.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    marks = [""] * len(findings)
    for index in sorted(range(len(findings)), key=lambda index: findings[index].line):
        each = findings[index]
        same = each.path, each.check, " ".join(each.code.split())
        marks[index] = hashlib.sha256("\0".join((*same, str(seen[same]))).encode()).hexdigest()
        seen[same] += 1
    return marks


def gitlab(findings: Sequence[Finding]) -> str:
    """The findings in GitLab's code quality format, as JSON."""
    report = [
        {
            "description": each.text,
            "check_name": each.check,
            "fingerprint": mark,
            "severity": each.severity,
            "location": {"path": each.path, "lines": {"begin": each.line}},
        }
        for each, mark in zip(findings, fingerprints(findings), strict=True)
    ]
    return json.dumps(report, indent=2) + "\n"


def write(ctx: Context, name: str, text: str) -> None:
    """Write a report into reports/, and say so; under --dry say only."""
    path = Path("reports", name)
    console.say(f"writing {path}")
    if not ctx.config.run.dry:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


def table(findings: Sequence[Finding]) -> str:
    """The findings, a line each."""
    rows = [(each.severity, each.kind, each.check, each.place, each.text) for each in findings]
    return console.table(rows, ("SEVERITY", "KIND", "CHECK", "PLACE", "WHAT"))


def count(findings: Iterable[Finding]) -> str:
    """How many there are of each severity, the worst first."""
    numbers = Counter(each.severity for each in findings)
    return ", ".join(f"{numbers[each]} {each}" for each in SEVERITIES if numbers[each]) or "none"


def conclude(findings: Sequence[Finding]) -> None:
    """Print the findings and their number. Raises TaskError when one is major or worse."""
    if findings:
        console.result(table(findings))
    console.say(f"findings: {count(findings)}")
    failing = [each for each in findings if each.severity in FAILING]
    if failing:
        raise TaskError(f"to mend: {count(failing)}", f"see above; {ALLOWING}")
