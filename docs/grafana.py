#!/usr/bin/env python
"""Makes the panels of the monitoring page a dashboard for Grafana: python docs/grafana.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parents[1] / "compose/monitoring"
PAGE, FILE = FOLDER / "page.tmpl", FOLDER / "grafana.json"
PANEL = re.compile(r'\(args "([^"]+)" `([^`]+)` "(\w*)" "(\w+)"\)')
SOURCE = {"type": "prometheus", "uid": "${source}"}
# A release that was not there a minute ago: what a deploy or a rollback has brought. Of the end of
# a deploy, also of a failed one or of the same commit, only the Prometheus beside it learns.
MARK = (
    "count by (environment, release) (app_info)"
    " unless count by (environment, release) (app_info offset 1m)"
)
DEPLOYED = "max by (environment) (changes(app_deploy_time_seconds[1m])) > 0"
# Rows that were added to Django's table of migrations, or deleted from it, in the last minute.
MIGRATED = " + ".join(
    f'sum by (environment) (changes({each}{{relname="django_migrations"}}[1m]))'
    for each in ("pg_stat_user_tables_n_tup_ins", "pg_stat_user_tables_n_tup_del")
)
MIGRATED += " > 0"
WIDTH, HEIGHT, ROW = 8, 7, 3


class Panel(NamedTuple):
    """A panel of the page."""

    title: str
    query: str
    label: str
    unit: str


def panels() -> list[Panel]:
    """The panels of the page."""
    return [Panel(*found) for found in PANEL.findall(PAGE.read_text("utf-8"))]


def dashboard() -> dict[str, Any]:
    """What Grafana imports; it asks which Prometheus is meant."""
    marks = {
        "name": "Releases", "datasource": SOURCE, "enable": True, "expr": MARK, "step": "60s",
        "titleFormat": "{{environment}} release {{release}}", "iconColor": "blue",
    }  # fmt: skip
    deployed = {
        "name": "Deploys", "datasource": SOURCE, "enable": True, "expr": DEPLOYED, "step": "60s",
        "titleFormat": "{{environment}} deploy or rollback ended", "iconColor": "green",
    }  # fmt: skip
    migrated = {
        "name": "Migrations", "datasource": SOURCE, "enable": True, "expr": MIGRATED, "step": "60s",
        "titleFormat": "{{environment}} migrated", "iconColor": "orange",
    }  # fmt: skip
    source = {"name": "source", "type": "datasource", "query": "prometheus"}
    return {
        "title": "App",
        "uid": "app-monitoring",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "annotations": {"list": [marks, deployed, migrated]},
        "panels": [one(number, each) for number, each in enumerate(panels())],
    }


def one(number: int, panel: Panel) -> dict[str, Any]:
    """A panel as Grafana has it."""
    place = {"x": number % ROW * WIDTH, "y": number // ROW * HEIGHT, "w": WIDTH, "h": HEIGHT}
    legend = f"{{{{environment}}}} {{{{{panel.label}}}}}" if panel.label else "{{environment}}"
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "expr": panel.query, "legendFormat": legend}],
    }


def text() -> str:
    """What the file has to be."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
