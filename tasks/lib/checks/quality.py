"""Code quality: style, complexity and security by ruff, and duplicates by jscpd."""

import json
import re
from pathlib import Path
from typing import Any

from invoke import Context

from .. import process
from ..errors import TaskError
from ..project import pipeline
from . import duplicates
from .codequality import SEVERITIES, Finding

# The severity of ruff's rules, by the longest prefix of a code; others are minor.
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


def inspect(ctx: Context) -> list[Finding]:
    """Return all findings in the source: worst first, then by file and line."""
    found, rank = [*_ruff(ctx), *duplicates.find(ctx)], SEVERITIES.index
    return sorted(found, key=lambda it: (rank(it.severity), it.path, it.line, it.check))


def kind_and_severity(rule: str) -> tuple[str, str]:
    """Return the kind and the severity of a rule of ruff's."""
    return _longest(KINDS, rule, "lint"), _longest(RULES, rule, "minor")


def _longest(table: dict[str, str], rule: str, default: str) -> str:
    # S603 is in the groups S6 and S, SIM102 is in neither.
    names = [name for name in table if re.match(rf"{name}(?![A-Za-z])", rule)]
    return table[max(names, key=len)] if names else default


def _ruff(ctx: Context) -> list[Finding]:
    words = ["check", "--output-format=json", "--exit-zero", "--quiet", "."]
    words += [f"--extend-exclude={name}" for name in pipeline.foreign()]
    done = process.look(ctx, [process.tool("ruff"), *words])
    if done.returncode:
        what = f"ruff check: {' '.join(done.stderr.split())}"
        raise TaskError(what, "check [tool.ruff] in pyproject.toml")
    return [_finding(diagnostic) for diagnostic in json.loads(done.stdout)]


def _finding(diagnostic: dict[str, Any]) -> Finding:
    path, rule = Path(diagnostic["filename"]), diagnostic["code"] or "invalid-syntax"
    first, last = diagnostic["location"], diagnostic["end_location"]
    lines = path.read_text("utf-8").splitlines()[first["row"] - 1 : last["row"]]
    name, (kind, severity) = path.relative_to(Path.cwd()).as_posix(), kind_and_severity(rule)
    text, code = diagnostic["message"], "\n".join(lines)
    return Finding(kind, rule, severity, name, first["row"], text, code)
