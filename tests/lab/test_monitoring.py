"""Monitoring beside an environment on servers: added, looked at through SSH, alerts, removed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.testbed.commands import ROOT, free_port, git, page, until
from tests.testbed.onehost import OneHost
from tests.testbed.prometheus import Prometheus, stand_ins
from tests.testbed.sites import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.either]
APP, STEADY = ("app", "worker", "beat"), ("app", "beat", "db", "proxy", "redis")
STACK, PASSWORD = "myapp-monitoring", "METRICS_PASSWORD"
EXPORTERS = {"postgres-exporter", "redis-exporter"}
# Alerts and looks are quick.
QUICK = (
    ("for: \\w+", "for: 4s"),
    ("interval: 15s", "interval: 2s"),
    ("timeout: 10s", "timeout: 2s"),
)


@pytest.fixture
def measured(site: Site, tmp_path: Path) -> Iterator[Site]:
    """The site, which serves metrics, and whose servers have the images of monitoring."""
    images = " ".join(stand_ins())
    for node in site.nodes.values():
        load = f"docker save {images} | docker exec --interactive {node} docker load"
        subprocess.run(["sh", "-euc", load], check=True, capture_output=True)
    content = yaml.safe_load(Path(site.lab["INVOKE_RUNTIME_CONFIG"]).read_text())
    content["monitoring"] = {"metrics": True}
    known = yaml.safe_load((site.root / "invoke.yaml").read_text())["deploy"]["secrets"]
    content.setdefault("deploy", {})["secrets"] = [*known, PASSWORD]
    # Its address leads to it from this machine only.
    content["environments"][site.env]["public"] = False
    settings = tmp_path / "invoke.yaml"
    settings.write_text(yaml.safe_dump(content))
    made = replace(site, lab={**site.lab, "INVOKE_RUNTIME_CONFIG": str(settings)})
    made.must("secrets.set", f"--name={PASSWORD}")
    made.must("deploy", f"--ref={site.good}")
    for name in ("rules.yml", "prometheus.yml"):
        text = (ROOT / "compose/monitoring" / name).read_text()
        for old, new in QUICK:
            text = re.sub(old, new, text)
        (made.root / "compose/monitoring" / name).write_text(text)
    try:
        yield made
    finally:
        made.inv("monitor.down", "--volumes")
        git(made.root, "checkout", "--", "compose")
        site.must("deploy", f"--ref={site.good}")
        made.inv("secrets.remove", f"--name={PASSWORD}", "--yes")


@contextmanager
def opened(site: Site) -> Iterator[Prometheus]:
    """Open the page with `inv monitor`, and end that with Ctrl-C."""
    port = free_port()
    run = site.begin("monitor", f"--port={port}")
    one = Prometheus(port)
    try:
        until(lambda: page(f"{one.url}/-/ready"), 60)
        yield one
    finally:
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.wait().status == 0
    assert page(f"{one.url}/-/ready") == ""


def containers(site: Site) -> list[str]:
    """The containers of the monitoring stack on all servers, each with its ports."""
    script = "docker ps --format '{{.Names}} {{.Ports}}'"
    lines = "\n".join(site.on(node, script) for node in site.nodes).splitlines()
    return [line for line in lines if line.startswith(STACK)]


def seen(prometheus: Prometheus, query: str) -> set[str]:
    return {each["metric"].get("service", "") for each in prometheus.ask(query)}


def stop(site: Site, service: str, back: bool) -> None:
    """Stop all replicas of a service, or start them again."""
    if isinstance(site, OneHost):
        verb = "start" if back else "stop"
        site.on("node1", f"docker ps -aq {site.box(service)} | xargs docker {verb}")
    else:
        site.on("node1", f"docker service scale --detach {site.stack}_{service}={int(back)}")


def test_one_command_adds_it_beside_the_app_and_one_removes_it(measured):
    before, steady = measured.tasks(*STEADY, "worker"), measured.tasks(*STEADY)
    refused = measured.inv("monitor", f"--port={free_port()}")
    assert refused.status == 2
    assert "no Prometheus runs for lab - inv monitor.up --env=lab" in refused.verdict
    done = measured.must("monitor.up")
    assert f"measures {measured.env}" in done.text
    assert measured.tasks(*STEADY, "worker") == before
    # Again, it changes nothing.
    there = containers(measured)
    assert len(there) == 3 + len(measured.nodes)
    measured.must("monitor.up")
    assert containers(measured) == there
    assert not any("->" in each for each in there)

    with opened(measured) as prometheus:
        mine = f'environment="{measured.env}"'
        until(lambda: seen(prometheus, f"up{{{mine}}} == 1") >= {*APP} | EXPORTERS, 120)
        assert [each["value"][1] for each in prometheus.ask("pg_up")] == ["1"]
        assert [each["value"][1] for each in prometheus.ask("redis_up")] == ["1"]
        assert prometheus.ask('pg_stat_user_tables_n_tup_ins{relname="django_migrations"}')
        (replicas,) = prometheus.ask(f'count(up{{{mine}, service="app"}} == 1)')
        assert replicas["value"][1] == "2"
        until(lambda: prometheus.ask(f"probe_success{{{mine}}} == 1"), 60)
        (nodes,) = prometheus.ask('count(up{job="node"} == 1) == on () expected_servers')
        assert nodes["value"][1] == str(len(measured.nodes))
        assert prometheus.ask('node_filesystem_avail_bytes{mountpoint="/disk"}')
        until(lambda: "All is well" in prometheus.page(), 120)
        assert measured.env in prometheus.page()

        stop(measured, "worker", back=False)
        until(lambda: {"NoWorker", "ServiceGone"} <= prometheus.firing(), 120)
        assert "Not well" in prometheus.page()
        stop(measured, "worker", back=True)
        until(lambda: not {"NoWorker", "ServiceGone"} & prometheus.firing(), 180)

    kept = measured.inv("destroy", "--yes")
    assert kept.status == 2
    assert f"monitoring measures {measured.env} - inv monitor.down" in kept.verdict
    measured.must("monitor.down", "--volumes")
    assert containers(measured) == []
    assert measured.tasks(*STEADY) == steady
    volumes = "docker volume ls -q -f name=" + STACK
    assert "".join(measured.on(node, volumes) for node in measured.nodes) == ""


def test_a_deploy_that_goes_well_fires_nothing(measured):
    measured.must("monitor.up")
    with opened(measured) as prometheus:
        until(lambda: seen(prometheus, "up == 1") >= {*APP}, 120)
        until(lambda: not prometheus.firing(), 120)
        other = measured.build("another one, measured")
        run = measured.begin("deploy", f"--ref={other}")
        fired: set[str] = set()
        until(lambda: fired.update(prometheus.firing()) or run.ended, 300, 1)
        assert run.wait().status == 0
        # With 4 seconds instead of minutes, those of a replica that starts may.
        assert fired <= {"ReplicaDown", "ReplicaMissing", "DeployHalfDone", "WebServerFull"}
        releases = 'count by (release) (app_info{role="web"})'
        until(
            lambda: [each["metric"]["release"] for each in prometheus.ask(releases)] == [other], 60
        )


def test_no_password_is_in_a_variable_or_an_argument(measured):
    names = "|".join(sorted(EXPORTERS))
    script = "docker ps -q | xargs docker inspect --format '{{.Name}} {{.Config.Env}} {{.Args}}'"
    lines = "\n".join(measured.on(node, script) for node in measured.nodes).splitlines()
    mine = [line for line in lines if measured.stack in line and re.search(names, line)]
    assert len(mine) == len(EXPORTERS)
    given = re.compile(r"(PASS|PASSWORD|DSN|DATA_SOURCE_NAME)=\S")
    assert not [line for line in mine if given.search(line)]
