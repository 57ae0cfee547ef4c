"""Code that stands in several places, by jscpd."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import process
from ..errors import TaskError
from ..project import git
from .codequality import Finding
from .linters import is_shell

if TYPE_CHECKING:
    from invoke import Context

# What people write; migrations are generated, and locks and texts repeat themselves.
WRITTEN = {".py", ".html", ".css", ".js", ".ts", ".sh"}
# How long a duplicate is at least, and from how many lines on it is major.
TOKENS, LONG = 50, 10


def find(ctx: Context) -> list[Finding]:
    """A finding for each place of code that stands elsewhere, too."""
    files = [path for path in git.files() if _written(path)]
    with tempfile.TemporaryDirectory() as folder:
        words = ["--reporters=json", f"--output={folder}", "--no-tips", f"--min-tokens={TOKENS}"]
        words.append("--absolute")  # a relative one is relative to who knows what
        done = process.look(ctx, [process.tool("jscpd"), *words, "--", *map(str, files)])
        report = Path(folder, "jscpd-report.json")
        if done.returncode or not report.is_file():
            said = " ".join(done.stderr.split())
            raise TaskError(f"jscpd cannot check: {said}", "see .jscpd.json, if any")
        return pairs(json.loads(report.read_text("utf-8"))["duplicates"], Path.cwd())


def _written(path: Path) -> bool:
    return (path.suffix in WRITTEN or is_shell(path)) and "migrations" not in path.parts


def pairs(found: Iterable[dict[str, Any]], root: Path) -> list[Finding]:
    """A finding for each place of jscpd's pairs of equal code, which tells the other places."""

    def name(side: dict[str, Any]) -> str:
        return Path(side["name"]).relative_to(root).as_posix()

    others: dict[tuple[str, int, str], set[str]] = {}
    for pair in found:
        sides = pair["firstFile"], pair["secondFile"]
        for one, other in (sides, sides[::-1]):
            place = name(one), one["start"], pair["fragment"]
            others.setdefault(place, set()).add(f"{name(other)}:{other['start']}")
    return [
        _finding(path, line, code, sorted(places)) for (path, line, code), places in others.items()
    ]


def _finding(path: str, line: int, code: str, places: list[str]) -> Finding:
    lines = len(code.splitlines())
    text = f"{lines} lines that are also at {', '.join(places)}"
    severity = "major" if lines >= LONG else "minor"
    return Finding("duplication", "duplicate", severity, path, line, text, code)
