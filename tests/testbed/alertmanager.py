"""An Alertmanager of this machine, or of the image, with what `inv monitor.up` configures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tasks.lib.deploys import alerting
from tasks.lib.deploys.alerting import Way
from tests.testbed import prometheus
from tests.testbed.commands import ROOT, free_port, page, until

BASE = yaml.safe_load((ROOT / "compose/monitoring/alertmanager.yml").read_text())


def program() -> str | None:
    """Return the program of Debian's package prometheus-alertmanager, if it is here."""
    return shutil.which("prometheus-alertmanager")


def image(folder: Path, *options: str) -> list[str]:
    """Return the words that run the image of compose/monitoring.yml, which sees a folder."""
    name = next(each for each in prometheus.stand_ins() if "/alertmanager:" in each)
    mine = f"--user={os.getuid()}:{os.getgid()}"
    place = (f"--volume={folder}:{folder}", "--network=host", mine)
    return ["docker", "run", "--rm", "--init", *place, *options, name]


class Alertmanager:
    """It answers at a port; `file` is its configuration, and `log` what it logs."""

    def __init__(self, port: int, file: Path, log: Path) -> None:
        self.url, self.file, self.log = f"http://127.0.0.1:{port}", file, log

    def post(self, alert: str, over: bool = False, **labels: str) -> None:
        """Raise an alert as Prometheus does, or let it be over; its severity is a warning."""
        notes = {"summary": f"{alert} is <wrong> & bad", "action": f"./inv status of {alert}"}
        notes["runbook"] = f"docs/oncall.md#{alert.lower()}"
        known = {"alertname": alert, "severity": "warning", "environment": "prod", **labels}
        made: dict[str, Any] = {"labels": {k: v for k, v in known.items() if v}}
        made["annotations"] = notes
        if over:
            made["endsAt"] = datetime.now(UTC).isoformat()
        body, head = json.dumps([made]).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v2/alerts", body, head)
        with urllib.request.urlopen(request, timeout=10):
            pass


@contextmanager
def sending(
    folder: Path, ways: Sequence[Way], start: Sequence[str], env: Mapping[str, str] | None = None
) -> Iterator[Alertmanager]:
    """Run it with ways that alerts take; it waits for seconds rather than for minutes.

    Args:
        start: the words that start it.
        env: more variables.
    """
    quick = {"group_wait": "1s", "group_interval": "1s"}
    base = {**BASE, "route": {**BASE["route"], **quick}}
    for way in ways:
        (folder / way.secret).write_text(way.value)
    text = json.dumps(alerting.notifying(base, ways))
    file, log, port = folder / "alertmanager.yml", folder / "alertmanager.log", free_port()
    file.write_text(text.replace(alerting.FOLDER, str(folder)))
    words = [
        *start, f"--config.file={file}", f"--storage.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with log.open("w") as output:
        process = subprocess.Popen(
            words, stdout=output, stderr=output, env={**os.environ, **(env or {})}
        )
    one = Alertmanager(port, file, log)
    try:
        until(lambda: page(f"{one.url}/-/ready"), 60)
        yield one
    finally:
        process.terminate()
        process.wait()
