"""Reports: what a task shows, as text for people or, with --json, as one line for machines."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

from . import console
from .errors import TaskError
from .redaction import redact

# Of the reports' schema: raised when a field is removed, or means something else.
VERSION: Literal[1] = 1


class Report(msgspec.Struct, frozen=True, kw_only=True, tag_field="report"):
    """What a task shows; docs/reports.schema.json is made of all of them.

    Args:
        problems: what is wrong, a line each. The task then exits with 1.
    """

    schema: Literal[1] = VERSION
    problems: list[str] = []

    def text(self) -> str:
        """Return it as people read it."""
        raise NotImplementedError


class Failure(Report, frozen=True, kw_only=True, tag="error"):
    """In place of a task's own report: why there is none, and the exit status."""

    status: int

    def text(self) -> str:
        """Return a line for each problem."""
        return "\n".join(self.problems)


def line(report: Report) -> str:
    """Return a report as JSON, on one line; secrets in it are masked."""
    return json.dumps(_masked(msgspec.to_builtins(report)))


def _masked(part: Any) -> Any:
    """Return a part of a report in which each text is masked, but not what kind of report it is.

    A number must stay a number.
    """
    if isinstance(part, dict):
        return {key: each if key == "report" else _masked(each) for key, each in part.items()}
    if isinstance(part, list | tuple):
        return [_masked(each) for each in part]
    return redact(part) if isinstance(part, str) else part


def show(report: Report, as_json: bool, hint: str = "") -> None:
    """Print a report. Raises TaskError if it has problems; `hint` says what to do about them."""
    if as_json:
        console.result(line(report), masked=False)
    elif text := report.text():
        console.result(text)
    if report.problems:
        raise TaskError("\ninv: ".join(report.problems), hint, shown=as_json)
