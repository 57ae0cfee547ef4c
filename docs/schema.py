#!/usr/bin/env python
"""Writes the JSON schemas of invoke.yaml, for editors, and of reports: python docs/schema.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Union

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tasks.lib.app import doctor  # noqa: E402
from tasks.lib.data import backups  # noqa: E402
from tasks.lib.deploys import outcome, plan, preflight  # noqa: E402
from tasks.lib.environments import (  # noqa: E402
    audit,
    jobs,
    releases,
    secret_values,
    server_setup,
    status,
)
from tasks.lib.images import listing  # noqa: E402
from tasks.lib.lab import status as lab_status  # noqa: E402
from tasks.lib.project.settings import INVOKE, Settings  # noqa: E402
from tasks.lib.reports import Failure, Report  # noqa: E402

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Each task with --json, and the report that it prints in place of an error.
REPORTS: dict[str, type[Report]] = {
    "backup.list": backups.Backups,
    "deploy": outcome.Outcome,
    "deploy --plan": plan.Plan,
    "doctor": doctor.Diagnosis,
    "history.audit": audit.AuditLog,
    "history.list": releases.History,
    "history.show": releases.Shown,
    "images.list": listing.Images,
    "jobs": jobs.Jobs,
    "lab.status": lab_status.LabStatus,
    "preflight": preflight.Preflight,
    "rollback": outcome.Outcome,
    "secrets.list": secret_values.Secrets,
    "server.check": server_setup.ServerCheck,
    "status": status.Status,
}


def schema() -> dict[str, Any]:
    """The schema of all settings; Invoke's own keys may be beside them."""
    whole = msgspec.json.schema(Settings)
    whole["$schema"] = DIALECT
    whole["$defs"]["Settings"]["properties"] |= {key: {"type": "object"} for key in sorted(INVOKE)}
    return whole


def reports() -> dict[str, Any]:
    """The schema of what tasks print with --json: one of the reports, or an error."""
    kinds = (*dict.fromkeys(REPORTS.values()), Failure)
    whole = msgspec.json.schema(Union[kinds])  # noqa: UP007
    whole["$schema"] = DIALECT
    for name in (kind.__name__ for kind in kinds):
        # A report always has all of its fields.
        part = whole["$defs"][name]
        part["required"] = sorted(part["properties"])
    return whole


FILES = {"docs/invoke.schema.json": schema, "docs/reports.schema.json": reports}


def text(name: str) -> str:
    """What a file has to be."""
    return json.dumps(FILES[name](), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for name in FILES:
        (ROOT / name).write_text(text(name), "utf-8")
