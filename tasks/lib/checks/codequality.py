"""Findings of code quality, and the report of them that GitLab reads."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from invoke import Context

from .. import console, files
from ..errors import TaskError

# GitLab's names, the worst first.
SEVERITIES = ("blocker", "critical", "major", "minor", "info")
MARK = "to accept one, mark it: # noqa: CHECK, or jscpd:ignore-start and jscpd:ignore-end"


@dataclass(frozen=True)
class Finding:
    """A problem in a file.

    Args:
        kind: lint, complexity, duplication or security.
        check: the rule's name.
        path: relative to the repository's root.
    """

    kind: str
    check: str
    severity: str
    path: str
    line: int
    text: str
    code: str

    @property
    def location(self) -> str:
        """Return the file and the line."""
        return f"{self.path}:{self.line}"


def fingerprints(findings: Sequence[Finding]) -> list[str]:
    """Return a unique hash for each finding, which stays the same if the code moves in its file.

    It is made of the file, the rule, the code without its white space, and a number for findings
    that are equal in all of these, which come in the order of their lines.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    hashes = []
    for finding in findings:
        same = finding.path, finding.check, " ".join(finding.code.split())
        hashes.append(hashlib.sha256("\0".join((*same, str(seen[same]))).encode()).hexdigest())
        seen[same] += 1
    return hashes


def gitlab(findings: Sequence[Finding]) -> str:
    """Return the findings in GitLab's Code Quality format, as JSON."""
    report = [
        {
            "description": finding.text,
            "check_name": finding.check,
            "fingerprint": fingerprint,
            "severity": finding.severity,
            "location": {"path": finding.path, "lines": {"begin": finding.line}},
        }
        for finding, fingerprint in zip(findings, fingerprints(findings), strict=True)
    ]
    return json.dumps(report, indent=2) + "\n"


def write(ctx: Context, name: str, text: str) -> None:
    """Write a report into reports/, and print its path; under --dry only print it."""
    path = f"reports/{name}"
    console.say(f"writing {path}")
    if not ctx.config.run.dry:
        files.write({path: text})


def count(findings: Iterable[Finding]) -> str:
    """Return the number of findings of each severity, worst first."""
    numbers = Counter(finding.severity for finding in findings)
    return ", ".join(f"{numbers[name]} {name}" for name in SEVERITIES if numbers[name]) or "none"


def conclude(findings: Sequence[Finding]) -> None:
    """Print the findings and their number. Raises TaskError if one is major or worse."""
    if findings:
        rows = [(it.severity, it.kind, it.check, it.location, it.text) for it in findings]
        console.result(console.table(rows, ("SEVERITY", "KIND", "CHECK", "LOCATION", "PROBLEM")))
    console.say(f"findings: {count(findings)}")
    if failing := [finding for finding in findings if finding.severity in SEVERITIES[:3]]:
        raise TaskError(f"to fix: {count(failing)}", f"see above; {MARK}")
