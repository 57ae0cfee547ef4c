"""What Prometheus measures on servers, for the environments that run there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.lib.deploys import measured, monitoring, shared_servers
from tasks.lib.deploys.measured import Measured, Served
from tasks.lib.errors import TaskError
from tasks.lib.project.places import Environment
from tests.testbed.commands import ROOT

FOLDER = ROOT / "compose/monitoring"
BASE = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
ALL = {
    "app": Served("tasks.shop-prod_app", 9464),
    "worker": Served("tasks.shop-prod_worker", 9464),
    "redis-exporter": Served("tasks.shop-prod_redis-exporter", 9121),
}
PROD = Measured("prod", "https://shop.example", "shop-prod_default", ALL, "tasks.shop-prod_proxy")
STAGING = Measured(
    *("staging", "http://s.example:8080", "shop-staging_default"),
    {"app": Served("tasks.shop-staging_app", 9464)},
    "tasks.shop-staging_proxy",
    public=False,
)


def labelled(job: dict[str, Any], name: str) -> dict[str, str]:
    """The labels that Prometheus gives to a target that DNS knew by a name."""
    found = {}
    for rule in job["relabel_configs"]:
        known = name if "source_labels" in rule else ""
        if re.fullmatch(rule.get("regex", ".*"), known):
            found[rule["target_label"]] = rule["replacement"]
    return found


def test_each_service_is_asked_in_each_environment_and_told_apart():
    jobs = {
        each["job_name"]: each for each in measured.scraped(BASE, [PROD, STAGING])["scrape_configs"]
    }
    names = {"app-prod", "app-staging", "redis-prod", "node", "prometheus", "status", "site"}
    assert {*jobs} == names
    asked = [(*each["names"], each["port"]) for each in jobs["app-prod"]["dns_sd_configs"]]
    assert asked == [("tasks.shop-prod_app", 9464), ("tasks.shop-prod_worker", 9464)]
    found = labelled(jobs["app-prod"], "tasks.shop-prod_worker")
    assert found == {"service": "worker", "job": "app", "environment": "prod"}
    found = labelled(jobs["redis-prod"], "tasks.shop-prod_redis-exporter")
    assert found == {"service": "redis-exporter", "job": "redis", "environment": "prod"}
    assert jobs["app-staging"]["sample_limit"] == 20000
    assert jobs["app-staging"]["metric_relabel_configs"]
    assert "static_configs" not in jobs["redis-prod"]


def test_a_site_is_asked_at_its_address_or_at_its_proxy():
    assert measured.sites([PROD, STAGING]) == [
        {"targets": ["https://shop.example"], "labels": {"environment": "prod"}},
        {
            "targets": ["http://tasks.shop-staging_proxy/"],
            "labels": {"environment": "staging", "host": "s.example"},
        },
    ]


def test_prometheus_takes_it_and_what_there_has_to_be_fires_when_it_is_not(tmp_path: Path):
    if not (promtool := shutil.which("promtool")):
        pytest.skip("no program promtool: install Debian's package prometheus")
    made = measured.scraped(BASE, [PROD, STAGING])
    rules, expected = FOLDER / "rules.yml", tmp_path / "expected.yml"
    expected.write_text(json.dumps(measured.expected([PROD], 3)))
    (tmp_path / "sites.yml").write_text(json.dumps(measured.sites([PROD, STAGING])))
    text = json.dumps({**made, "rule_files": [str(rules), str(expected)]})
    (tmp_path / "prometheus.yml").write_text(
        text.replace("/etc/prometheus/sites.yml", str(tmp_path / "sites.yml"))
    )
    words = [promtool, "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    up = 'up{job="%s", environment="prod", service="%s", instance="%s"}'
    series = [
        {"series": up % ("app", "app", "a"), "values": "1x100"},
        {"series": up % ("redis", "redis-exporter", "b"), "values": "1x100"},
        {"series": up % ("node", "", "c"), "values": "1x100"},
    ]
    gone = 'count by (alertname, service) (ALERTS{alertstate="firing"})'
    wanted = [
        {"labels": '{alertname="ServiceGone", service="worker"}', "value": 1},
        {"labels": '{alertname="NodeGone"}', "value": 1},
    ]
    test = {"interval": "15s", "input_series": series}
    test["promql_expr_test"] = [{"expr": gone, "eval_time": "10m", "exp_samples": wanted}]
    whole = {"rule_files": [str(rules), str(expected)], "evaluation_interval": "15s"}
    (tmp_path / "test.yml").write_text(json.dumps({**whole, "tests": [test]}))
    done = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "test.yml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_services_are_on_the_networks_alone_that_they_ask():
    config = {"services": {"prometheus": {}, "blackbox-exporter": {}, "x": {}}, "networks": {}}
    made = monitoring.attached(config, [PROD, STAGING])
    networks = {name: [*each.get("networks", {})] for name, each in made["services"].items()}
    assert networks == {
        "prometheus": ["default", "prod", "staging"],
        "blackbox-exporter": ["default", "staging"],
        "x": [],
    }
    assert made["networks"]["prod"] == {"external": True, "name": "shop-prod_default"}


def test_prometheus_may_take_more_for_more_environments():
    assert measured.room(1) == {"METRICS_MEMORY": "512M", "METRICS_SIZE": "2048MB"}
    assert measured.room(20) == {"METRICS_MEMORY": "1280M", "METRICS_SIZE": "20480MB"}


def place(*hosts: str, kind: str = "swarm") -> Environment:
    return Environment("http://a.example", {}, [*hosts], kind)  # type: ignore[arg-type]


def test_environments_that_share_servers_are_measured_together(world):
    import msgspec

    places = {
        "prod": place("a@1", "a@2"),
        "staging": place("a@2", "a@3"),
        "other": place("a@4"),
        "plain": place("a@3", kind="compose"),
        "third": place("a@3"),
        "review/*": place("a@1"),
        "cluster": place(kind="kubernetes"),
    }
    settings = msgspec.structs.replace(world.target.settings, environments=places)
    assert [*shared_servers.group(settings, "prod")] == ["prod", "staging", "third"]
    assert [*shared_servers.group(settings, "third")] == ["prod", "staging", "third"]
    assert [*shared_servers.group(settings, "plain")] == ["plain"]
    with pytest.raises(TaskError, match=r"cluster is on a cluster, .* - use the cluster's own"):
        shared_servers.group(settings, "cluster")
    with pytest.raises(TaskError, match="review/a is a dynamic environment"):
        shared_servers.group(settings, "review/a")


def test_what_is_measured_is_not_removed(world):
    monitoring.require_removable(world.target)
    beside = world.target.orchestrator.beside(shared_servers.stack_name(world.target))
    beside.running_now["prometheus"] = {"image": "p", "deploy": {}}
    with pytest.raises(TaskError, match=r"monitoring measures prod - inv monitor\.down --env=prod"):
        monitoring.require_removable(world.target)


def test_an_environment_that_does_not_run_is_told_with_what_starts_it(world, capfd):
    assert monitoring.found(world.target) == []
    hint = "./inv deploy --env=prod, then run this again"
    assert (
        f"prod: nothing runs, so that nothing of it is measured - {hint}" in capfd.readouterr().err
    )
