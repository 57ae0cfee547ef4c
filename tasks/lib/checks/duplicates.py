"""Duplicated code, found by jscpd."""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from invoke import Context

from .. import process
from ..errors import TaskError
from ..project import git, pipeline
from .codequality import Finding
from .linters import is_shell

# What people write; migrations are generated, and locked requirements and prose repeat themselves.
WRITTEN = {".py", ".html", ".css", ".js", ".ts", ".sh"}
# The tokens of the shortest duplicate, and the lines of the shortest major one.
TOKENS, MAJOR = 50, 10


def find(ctx: Context) -> list[Finding]:
    """Return a finding for each location of duplicated code."""
    own = pipeline.without(git.files())
    written = [path for path in own if path.suffix in WRITTEN or is_shell(path)]
    files = [str(path) for path in written if "migrations" not in path.parts]
    with tempfile.TemporaryDirectory() as folder:
        words = ["--reporters=json", f"--output={folder}", "--no-tips", f"--min-tokens={TOKENS}"]
        words.append("--absolute")  # relative paths have no documented base
        done = process.look(ctx, [process.tool("jscpd"), *words, "--", *files])
        report = Path(folder, "jscpd-report.json")
        if done.returncode or not report.is_file():
            what = f"jscpd: {' '.join(done.stderr.split())}"
            raise TaskError(what, "check .jscpd.json, if there is one")
        return pairs(json.loads(report.read_text("utf-8"))["duplicates"], Path.cwd())


def pairs(found: Iterable[dict[str, Any]], root: Path) -> list[Finding]:
    """Return a finding for each location of jscpd's pairs; its text names the other locations."""

    def name(side: dict[str, Any]) -> str:
        return Path(side["name"]).relative_to(root).as_posix()

    others: dict[tuple[str, int, str], set[str]] = {}
    for pair in found:
        sides = pair["firstFile"], pair["secondFile"]
        for one, other in (sides, sides[::-1]):
            location = name(one), one["start"], pair["fragment"]
            others.setdefault(location, set()).add(f"{name(other)}:{other['start']}")
    return [_finding(*location, sorted(copies)) for location, copies in others.items()]


def _finding(path: str, line: int, code: str, copies: list[str]) -> Finding:
    lines = len(code.splitlines())
    text = f"{lines} lines that are also at {', '.join(copies)}"
    severity = "major" if lines >= MAJOR else "minor"
    return Finding("duplication", "duplicate", severity, path, line, text, code)
