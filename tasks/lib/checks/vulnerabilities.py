"""Known vulnerabilities of locked packages, found by pip-audit in a database with OSV's API."""

import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invoke import Context

from .. import process
from ..errors import TaskError
from ..project.requirements import Pin


@dataclass(frozen=True)
class Vulnerability:
    """A known vulnerability of a package (name, version): its ID and aliases, and what fixes it."""

    package: tuple[str, str]
    ids: tuple[str, ...]
    text: str
    fixed: tuple[str, ...]


def find(ctx: Context, pins: Iterable[Pin], database: str) -> list[Vulnerability]:
    """Return the known vulnerabilities. Raises TaskError unless each package gets an answer."""
    left, found = {(pin.name, pin.version) for pin in pins}, []
    while left:
        # pip-audit takes one version of a package at a time.
        versions = dict(sorted(left))
        found += _query(ctx, versions, database)
        left.difference_update(versions.items())
    return found


def _query(ctx: Context, versions: dict[str, str], database: str) -> list[Vulnerability]:
    with tempfile.TemporaryDirectory() as folder:
        pinned, report = Path(folder, "pinned.txt"), Path(folder, "report.json")
        pinned.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()))
        words = ["--no-deps", "--disable-pip", f"--requirement={pinned}", "--progress-spinner=off"]
        words += ["--vulnerability-service=osv", f"--osv-url={database}"]
        words += ["--format=json", f"--output={report}"]
        done = process.look(ctx, [process.tool("pip-audit"), *words])
        if not report.is_file():
            raise TaskError(f"{database} does not answer: {reason(done.stderr)}")
        answer = json.loads(report.read_text("utf-8"))["dependencies"]
    if missing := set(versions) - {package["name"] for package in answer if "vulns" in package}:
        raise TaskError(f"{database} has no answer for {', '.join(sorted(missing))}")
    return [_vulnerability(package, known) for package in answer for known in package["vulns"]]


def _vulnerability(package: dict[str, Any], known: dict[str, Any]) -> Vulnerability:
    ids, fixed = (known["id"], *known["aliases"]), tuple(known["fix_versions"])
    return Vulnerability((package["name"], package["version"]), ids, known["description"], fixed)


def reason(log: str) -> str:
    """Return why pip-audit failed: the message of its last exception, without its wrapping."""
    messages = re.findall(r"^[\w.]+(?:Error|Exception|Timeout|Schema): (.+)$", log, re.MULTILINE)
    last = (messages or log.split("\n"))[-1]
    inner = re.search(r"""\w+Error\(["'](?:.*?: )?(.+?)["']\)""", last)
    return (inner[1] if inner else last) or "pip-audit gives no reason"
