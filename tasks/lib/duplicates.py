"""Code that stands in several places, by jscpd."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import process, source
from .errors import Failed
from .findings import Finding

if TYPE_CHECKING:
    from invoke import Context

# What people write; migrations are generated, and locks and texts repeat themselves.
WRITTEN = {".py", ".html", ".css", ".js", ".ts", ".sh"}
TOKENS = 50


def find(ctx: Context) -> list[Finding]:
    """A finding for each place of code that stands elsewhere, too."""
    files = [path for path in source.files() if _written(path)]
    with tempfile.TemporaryDirectory() as folder:
        words = ["--reporters=json", f"--output={folder}", "--no-tips", f"--min-tokens={TOKENS}"]
        done = process.look(ctx, [process.tool("jscpd"), *words, "--", *map(str, files)])
        report = Path(folder, "jscpd-report.json")
        if done.returncode or not report.is_file():
            said = " ".join(done.stderr.split())
            raise Failed(f"jscpd cannot check: {said}", "see .jscpd.json, if any")
        return pairs(json.loads(report.read_text("utf-8"))["duplicates"])


def _written(path: Path) -> bool:
    return (path.suffix in WRITTEN or source.is_shell(path)) and "migrations" not in path.parts


def pairs(found: Iterable[dict[str, Any]]) -> list[Finding]:
    """A finding for each place of jscpd's pairs of equal code, which tells the other places."""
    others: dict[tuple[str, int, str], set[str]] = {}
    for pair in found:
        sides = pair["firstFile"], pair["secondFile"]
        for one, other in (sides, sides[::-1]):
            place = one["name"], one["start"], pair["fragment"]
            others.setdefault(place, set()).add(f"{other['name']}:{other['start']}")
    return [
        Finding("duplication", "duplicate", "major", path, line, _also(code, places), code)
        for (path, line, code), places in others.items()
    ]


def _also(code: str, places: set[str]) -> str:
    return f"{len(code.splitlines())} lines that are also at {', '.join(sorted(places))}"
