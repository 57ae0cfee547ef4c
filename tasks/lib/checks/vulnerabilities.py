"""Which locked packages have known vulnerabilities, by pip-audit and a database that speaks OSV."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import process
from ..errors import TaskError

if TYPE_CHECKING:
    from invoke import Context

    from ..project.requirements import Pin


@dataclass(frozen=True)
class Vulnerability:
    """A known vulnerability of a package's version.

    Args:
        package: its name and version.
        ids: the vulnerability's name, and the names that it has elsewhere.
        fixed: the versions that do not have it.
    """

    package: tuple[str, str]
    ids: tuple[str, ...]
    text: str
    fixed: tuple[str, ...]


def find(ctx: Context, pins: Iterable[Pin], database: str) -> list[Vulnerability]:
    """The known vulnerabilities of packages.

    Raises TaskError when the database does not answer for every one of them.
    """
    versions: dict[str, list[str]] = {}
    for name, version in sorted({(pin.name, pin.version) for pin in pins}):
        versions.setdefault(name, []).append(version)
    found = []
    # pip-audit takes one version of a package at a time.
    while versions:
        found += _ask(ctx, {name: each.pop() for name, each in versions.items()}, database)
        versions = {name: each for name, each in versions.items() if each}
    return found


def _ask(ctx: Context, versions: dict[str, str], database: str) -> list[Vulnerability]:
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
    if silent := set(versions) - {each["name"] for each in answer if "vulns" in each}:
        raise TaskError(f"{database} says nothing of {', '.join(sorted(silent))}")
    return [
        Vulnerability(
            (each["name"], each["version"]),
            (one["id"], *one["aliases"]),
            one["description"],
            tuple(one["fix_versions"]),
        )
        for each in answer
        for one in each["vulns"]
    ]


def reason(log: str) -> str:
    """Why pip-audit gave up: what its last exception with a message says, without its wrapping."""
    said = re.findall(r"^[\w.]+(?:Error|Exception|Timeout|Schema): (.+)$", log, re.MULTILINE)
    last = (said or log.split("\n") or [""])[-1]
    inner = re.search(r"""\w+Error\(["'](?:.*?: )?(.+?)["']\)""", last)
    return (inner[1] if inner else last) or "pip-audit does not say why"
