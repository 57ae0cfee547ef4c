"""A Prometheus of this machine with the alerts and the page of compose/monitoring."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.testbed.commands import ROOT, docker, free_port, page, until

FOLDER = ROOT / "compose/monitoring"
spec = importlib.util.spec_from_file_location("grafana", ROOT / "docs/grafana.py")
assert spec and spec.loader
# What makes the panels of the page a dashboard for Grafana.
grafana = importlib.util.module_from_spec(spec)
spec.loader.exec_module(grafana)
# Of a stand-in: a checksum of its source. Its base may be one, too, whose label it then has.
LABEL = "monitoring-standin"


class Prometheus:
    """It answers at a port; `pid` is its process, if that is ours."""

    def __init__(self, port: int, pid: int = 0) -> None:
        self.port, self.pid, self.url = port, pid, f"http://127.0.0.1:{port}"

    def ready(self) -> None:
        """Wait until it answers."""
        until(lambda: page(f"{self.url}/-/ready"), 60)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the series of a query. Raises RuntimeError if it is wrong."""
        answer = page(f"{self.url}/api/v1/query?query={quote(query)}")
        if not answer:
            raise RuntimeError(f"no answer to {query}")
        return list(json.loads(answer)["data"]["result"])

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {each["metric"]["alertname"] for each in self.ask('ALERTS{alertstate="firing"}')}

    def page(self) -> str:
        """Return the page."""
        return page(f"{self.url}/consoles/index.html")


def stand_ins() -> list[str]:
    """Build the images of monitoring as stand-ins, where no real one is here; return all names."""
    texts = [(ROOT / f"compose/{name}.yml").read_text() for name in ("monitoring", "exporters")]
    names = re.findall(r"^    image: (\S+)$", "".join(texts), re.M)
    file = ROOT / "lab/images/monitoring.Dockerfile"
    source = hashlib.sha256(file.read_bytes()).hexdigest()
    for name in names:
        if not docker("image", "ls", "--quiet", name) or stand_in(name) not in ("", source):
            stage = name.rpartition("/")[2].partition(":")[0]
            words = ("build", "--quiet", f"--target={stage}", f"--tag={name}")
            docker(*words, f"--label={LABEL}={source}", f"--file={file}", ROOT / "lab/images")
    return names


def stand_in(image: str) -> str:
    """Return what a stand-in was built from; nothing for a real image."""
    labels = json.loads(docker("image", "inspect", "--format={{json .Config.Labels}}", image)) or {}
    return str(labels.get(LABEL, labels.get("standin", "")))


def quick(rules: str, seconds: int) -> str:
    """Return rules whose alerts look back and wait for seconds rather than for minutes."""
    return re.sub(r"\[\d+m\]", f"[{seconds * 6}s]", re.sub(r"for: \w+", f"for: {seconds}s", rules))


def program() -> str | None:
    """Return the program of Debian's package prometheus, if it is here."""
    return shutil.which("prometheus")


def required() -> None:
    """Skip the test without the program; in CI, that fails."""
    if not program():
        pytest.skip("no program prometheus: install Debian's package of that name")


@contextmanager
def measuring(
    folder: Path,
    site: str = "",
    blackbox: int = 0,
    environment: str = "",
    rules: Sequence[tuple[str, str]] = (),
    **targets: int,
) -> Iterator[Prometheus]:
    """Run it with services of the app, by their ports; alerts do not wait for minutes.

    Args:
        site: the address that the blackbox exporter asks, which listens at a port of this machine.
        environment: the one that `inv status` looks at; its file is in the folder data/status.
        rules: parts of the rules, and what is in their place.
    """
    settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(folder / "rules.yml")]
    static = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"service": name}}
        for name, port in targets.items()
    ]
    (app,) = (each for each in settings["scrape_configs"] if each["job_name"] == "app")
    limits = {key: each for key, each in app.items() if key.endswith("_limit")}
    (asked,) = (each for each in settings["scrape_configs"] if each["job_name"] == "site")
    del asked["file_sd_configs"]
    asked["static_configs"] = [{"targets": [site] if site else []}]
    asked["relabel_configs"][-1]["replacement"] = f"127.0.0.1:{blackbox}"
    (looked,) = (each for each in settings["scrape_configs"] if each["job_name"] == "status")
    del looked["file_sd_configs"]
    seen = {"targets": ["x"], "labels": {"environment": environment} if environment else {}}
    looked["static_configs"] = [seen]
    apps = {"job_name": "app", "static_configs": static, **limits}
    settings["scrape_configs"] = [apps, asked, looked]
    text = (FOLDER / "rules.yml").read_text()
    for old, new in rules:
        assert old in text
        text = text.replace(old, new)
    (folder / "rules.yml").write_text(quick(text, 1))
    with running(folder, settings) as one:
        one.ready()
        yield one


@contextmanager
def running(folder: Path, settings: Mapping[str, Any], *options: str) -> Iterator[Prometheus]:
    """Run it with our page, and kill it at the end; its data stays in the folder `data`.

    Args:
        settings: its configuration, in which localhost:9090 is itself.
        options: more of its command line.
    """
    port = free_port()
    configure(folder, settings, port)
    (folder / "consoles").mkdir(exist_ok=True)
    shutil.copy(FOLDER / "page.tmpl", folder / "consoles/index.html")
    words = [
        str(program()), f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
        f"--web.console.templates={folder}/consoles", f"--web.console.libraries={folder}/consoles",
        f"--web.user-assets={folder}/data/status",
    ]  # fmt: skip
    # As newer versions have it by themselves.
    env = {**os.environ, "GOGC": "75"}
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen([*words, *options], stdout=log, stderr=log, env=env)
    try:
        yield Prometheus(port, process.pid)
    finally:
        process.kill()
        process.wait()


def configure(folder: Path, settings: Mapping[str, Any], port: int) -> None:
    """Write its configuration."""
    text = yaml.safe_dump(settings).replace("localhost:9090", f"127.0.0.1:{port}")
    (folder / "prometheus.yml").write_text(text)
