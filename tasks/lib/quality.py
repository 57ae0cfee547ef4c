"""A look at the code: style, complexity and security by ruff, duplicates by jscpd."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import process, source
from .errors import Failed
from .findings import Finding, ordered

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from invoke import Context

# How bad it is to break a rule of ruff's; the longest beginning of its code counts, else minor.
RULES = {
    "invalid-syntax": "blocker",
    "B": "major",  # likely bugs
    "C901": "major",  # complexity
    "DJ": "major",
    "E501": "info",
    "F": "major",
    "F401": "minor",  # an unused import
    "F541": "minor",
    "F821": "critical",  # an undefined name
    "F841": "minor",  # an unused variable
    "I": "info",
    "PLE": "major",
    "S": "major",
    "S101": "minor",  # assert
    "S102": "critical",  # exec
    "S301": "critical",  # pickle
    "S307": "critical",  # eval
    "S5": "critical",  # TLS that is not checked, YAML that runs code
    "S6": "critical",  # commands and SQL made of strings
    "S603": "minor",
    "S607": "minor",
    "W": "info",
}
KINDS = {"C901": "complexity", "PLR09": "complexity", "S": "security"}
# What people write; migrations are generated, and locks and texts repeat themselves.
WRITTEN = {".py", ".html", ".css", ".js", ".ts", ".sh"}
TOKENS = 50


def inspect(ctx: Context) -> list[Finding]:
    """Everything that is found in the source, the worst first."""
    return ordered([*_ruff(ctx), *_jscpd(ctx)])


def severity(rule: str) -> str:
    """How bad it is to break a rule of ruff's."""
    return _longest(RULES, rule, "minor")


def kind(rule: str) -> str:
    """What sort of rule of ruff's it is."""
    return _longest(KINDS, rule, "lint")


def _longest(table: dict[str, str], rule: str, default: str) -> str:
    names = [name for name in table if _begins(rule, name)]
    return table[max(names, key=len)] if names else default


def _begins(rule: str, name: str) -> bool:
    """Whether a rule is of a name's group: S603 is of S6 and of S, SIM102 is of neither."""
    rest = rule.removeprefix(name)
    return rest != rule and not rest[:1].isalpha()


def _ruff(ctx: Context) -> list[Finding]:
    command = [process.tool("ruff"), "check", "--output-format=json", "--exit-zero", "--quiet", "."]
    done = process.look(ctx, command)
    if done.returncode:
        raise Failed(f"ruff cannot check: {_said(done)}", "see pyproject.toml, [tool.ruff]")
    return [_broken(each) for each in json.loads(done.stdout)]


def _broken(said: dict[str, Any]) -> Finding:
    """A finding of one of ruff's."""
    path = Path(said["filename"])
    rule, first, last = said["code"] or "invalid-syntax", said["location"], said["end_location"]
    lines = path.read_text("utf-8").splitlines()[first["row"] - 1 : last["row"]]
    name = path.relative_to(Path.cwd()).as_posix()
    code = "\n".join(lines)
    return Finding(kind(rule), rule, severity(rule), name, first["row"], said["message"], code)


def _jscpd(ctx: Context) -> list[Finding]:
    files = [path for path in source.files() if _written(path)]
    with tempfile.TemporaryDirectory() as folder:
        words = ["--reporters=json", f"--output={folder}", "--no-tips", f"--min-tokens={TOKENS}"]
        done = process.look(ctx, [process.tool("jscpd"), *words, "--", *map(str, files)])
        report = Path(folder, "jscpd-report.json")
        if done.returncode or not report.is_file():
            raise Failed(f"jscpd cannot check: {_said(done)}", "see .jscpd.json, if any")
        return duplicates(json.loads(report.read_text("utf-8"))["duplicates"])


def _said(done: CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split())


def _written(path: Path) -> bool:
    return (path.suffix in WRITTEN or source.is_shell(path)) and "migrations" not in path.parts


def duplicates(pairs: Iterable[dict[str, Any]]) -> list[Finding]:
    """A finding for each place of jscpd's pairs of equal code, which tells the other places."""
    others: dict[tuple[str, int, str], set[str]] = {}
    for pair in pairs:
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
