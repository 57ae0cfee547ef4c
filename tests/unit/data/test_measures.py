"""What the service of backups serves for Prometheus."""

from __future__ import annotations

import re
import shutil
import subprocess
import time

import pytest

from tests.testbed import prometheus
from tests.testbed.commands import free_port, page, until

DAY = 24 * 60 * 60


def values(text: str) -> dict[str, float]:
    """The metrics by name."""
    return {k: float(v) for k, v in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}


@pytest.mark.parametrize(
    ("known", "good", "drill", "failed"),
    [
        ({}, 0, 0, 0),
        ({"good": 1e9, "drilled_at": 2e9}, 1e9, 2e9, 0),
        ({"good": 1e9, "drilled_at": 2e9, "drill_failed": 3e9}, 1e9, 2e9, 1),
        ({"good": 1e9, "drilled_at": 4e9, "drill_failed": 3e9}, 1e9, 4e9, 0),
        ({"good": 1e9, "proven": 4e9, "drill_failed": 3e9}, 1e9, 4e9, 0),
        ({"good": 1e9, "drill_failed": 3e9}, 1e9, 0, 1),
    ],
)
def test_what_is_known_is_told_and_what_never_was_has_the_time_0(tools, known, good, drill, failed):
    found = values(tools["measures"].text(known, DAY))
    assert found["backup_every_seconds"] == DAY
    assert found["backup_success_timestamp_seconds"] == good
    assert found["backup_drill_timestamp_seconds"] == drill
    assert found["backup_drill_failed"] == failed


def test_it_is_served_as_prometheus_reads_it(tools):
    measures, known, port = tools["measures"], {"good": 1e9}, free_port()
    server = measures.serve(port, lambda: measures.text(known, DAY))
    try:
        url = f"http://127.0.0.1:{port}/metrics"
        assert values(page(url))["backup_success_timestamp_seconds"] == 1e9
        known["good"] = 2e9
        text = page(url)
        assert values(text)["backup_success_timestamp_seconds"] == 2e9
    finally:
        server.shutdown()
        server.server_close()
    if not (promtool := shutil.which("promtool")):
        pytest.skip("no program promtool: install Debian's package prometheus")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("alert", "wrong", "right"),
    [
        ("BackupOld", {"good": -3 * DAY}, {"good": 0}),
        ("BackupOld", {"good": None}, {"good": 0}),
        ("DrillFailed", {"drill_failed": 0}, {"drilled_at": 1}),
        ("DrillOld", {"drilled_at": -41 * DAY}, {"proven": 0}),
    ],
)
def test_an_alert_fires_until_it_is_well_again(tools, tmp_path, alert, wrong, right):
    prometheus.required()
    now, measures, port = time.time(), tools["measures"], free_port()
    known = {"good": now, "drilled_at": now - 10}

    def note(values: dict[str, float | None]) -> None:
        for key, seconds in values.items():
            known.pop(key, None)
            known.update({key: now + seconds} if seconds is not None else {})

    server = measures.serve(port, lambda: measures.text(known, DAY))
    try:
        with prometheus.measuring(tmp_path, backup=port) as one:
            until(lambda: one.ask("backup_every_seconds"))
            assert one.firing() == set()
            note(wrong)
            until(lambda: one.firing() == {alert})
            note(right)
            until(lambda: one.firing() == set())
    finally:
        server.shutdown()
        server.server_close()
