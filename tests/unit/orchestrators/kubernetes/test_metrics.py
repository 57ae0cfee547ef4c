"""A cluster's own Prometheus finds the pods that serve metrics, and only it may ask them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.lib.orchestrators.kubernetes import manifests, metrics, naming, rendering
from tasks.lib.orchestrators.kubernetes.connecting import placed
from tasks.lib.orchestrators.kubernetes.place import Place
from tasks.lib.orchestrators.stack import Stack, difference
from tasks.lib.project.places import Kubernetes
from tests.testbed.commands import ROOT
from tests.testbed.compose_files import IMAGE, SITE
from tests.testbed.kubernetes import admits

PLACE = Place("shop", SITE, prometheus="monitoring", podmonitor={"release": "prometheus"})
SERVING = ["app", "beat", "worker"]
PAGE = (ROOT / "docs/monitoring.md").read_text()


def made(port: str = "9464", release: int = 7) -> Stack:
    """A stack whose app serves metrics at a port; empty for none."""
    ours = {"image": IMAGE, "user": "10001", "environment": {"METRICS": port}}
    services = {
        "proxy": {"image": "caddy:2", "user": "10001", "ports": [{"target": 80, "published": 80}]},
        "app": ours,
        "worker": {**ours, "command": ["worker"]},
        "beat": {**ours, "command": ["beat"]},
        "poll": {**ours, "command": ["python", "poll.py"], "environment": {"METRICS": None}},
        "db": {"image": "postgres:17", "user": "999"},
    }
    found = rendering.render({"services": services}, "shop-prod", IMAGE, {})
    return found.labelled(release, "there")


def templates(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the pods of each service are made from."""
    works = [each for each in found if "template" in each["spec"]]
    return {each["metadata"]["name"]: each["spec"]["template"] for each in works}


def ports(template: dict[str, Any]) -> list[dict[str, Any]]:
    """The ports of a service's container."""
    return [*template["spec"]["containers"][0].get("ports", [])]


def test_pods_that_serve_metrics_say_so_and_others_do_not():
    found = templates(manifests.objects(made(), PLACE))
    named = {"containerPort": 9464, "name": "metrics"}
    assert sorted(name for name, each in found.items() if named in ports(each)) == SERVING
    asked = {"prometheus.io/port": "9464", "prometheus.io/scrape": "true"}
    notes = {name: each["metadata"].get("annotations") for name, each in found.items()}
    assert {name for name, each in notes.items() if each} == {*SERVING}
    assert [notes[name] for name in SERVING] == [asked] * 3
    assert ports(found["app"]) == [{"containerPort": 8000}, named]
    # What only serves metrics gets no requests of users, for which it would have to stay.
    for name, stays in (("app", True), ("worker", False)):
        (container,) = found[name]["spec"]["containers"]
        assert ("lifecycle" in container) == stays


def test_with_metrics_off_there_is_nothing_of_it():
    text = manifests.text(manifests.objects(made(""), PLACE))
    assert not re.search("prometheus|metrics|9464|PodMonitor", text, re.I)
    assert manifests.objects(made(""), PLACE) == manifests.objects(made(""), Place("shop", SITE))


def test_the_same_is_the_same_bytes_and_another_release_replaces_no_pod():
    one, two = (manifests.objects(made(release=number), PLACE) for number in (7, 8))
    assert manifests.text(one) == manifests.text(manifests.objects(made(), PLACE))
    assert one != two
    assert templates(one) == templates(two)


@pytest.mark.parametrize(
    ("place", "namespace", "port", "services"),
    [
        (PLACE, "monitoring", 9464, [*SERVING]),
        (PLACE, "monitoring", 8000, []),
        (PLACE, "monitoring-2", 9464, []),
        (PLACE, "shop-2", 9464, []),
        (replace(PLACE, prometheus=""), "monitoring", 9464, []),
        (replace(PLACE, prometheus="watch"), "watch", 9464, [*SERVING]),
        (PLACE, "elsewhere", 80, ["proxy"]),
    ],
)
def test_pods_of_one_namespace_may_ask_for_metrics_and_for_nothing_else(
    place, namespace, port, services
):
    found = manifests.objects(made(), place)
    labels = {name: each["metadata"]["labels"] for name, each in templates(found).items()}
    policies = [each for each in found if each["kind"] == "NetworkPolicy"]
    reached = [name for name in labels if admits(policies, labels[name], port, namespace)]
    assert sorted(reached) == services
    there = metrics.NAME in {each["metadata"]["name"] for each in policies}
    assert there == bool(place.prometheus)


def test_a_pod_monitor_has_the_labels_of_its_operator_and_never_loses_our_own():
    taken = {"release": "x", naming.STACK: "other", naming.MANAGER: "Helm"}
    found = manifests.objects(made(), replace(PLACE, podmonitor=taken))
    (one,) = (each for each in found if each["kind"] == "PodMonitor")
    assert one["metadata"]["labels"] == {
        "release": "x",
        naming.STACK: "shop-prod",
        naming.MANAGER: "inv",
    }
    (endpoint,) = one["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == "metrics"
    bare = manifests.objects(made(), replace(PLACE, podmonitor={}))
    assert "PodMonitor" not in {each["kind"] for each in bare}


def test_the_settings_reach_the_cluster_and_a_change_of_them_is_deployed():
    known = Kubernetes("c", prometheus="monitoring", podmonitor={"release": "prometheus"})
    place = placed(known, "shop", SITE)
    assert (place.prometheus, place.podmonitor) == (PLACE.prometheus, PLACE.podmonitor)
    now = rendering.placed(made(), place)
    other = rendering.placed(made(), replace(place, prometheus="watch", podmonitor={}))
    assert difference(now, rendering.placed(made(), place)) == []
    assert difference(now, other) == [
        "- kubernetes.podmonitor.release: prometheus",
        "~ kubernetes.prometheus: monitoring -> watch",
    ]
    json.loads(other.text())


def example(begins: str) -> str:
    """An example of the page, by how it begins."""
    (found,) = (
        each for each in re.findall(r"```\w+\n(.*?)```", PAGE, re.S) if each.startswith(begins)
    )
    return str(found)


@pytest.fixture
def promtool() -> str:
    """The program of that name."""
    if not (found := shutil.which("promtool")):
        pytest.skip("no program promtool: install Debian's package prometheus")
    return found


def run(*words: object) -> str:
    """What a program prints that succeeds."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lacks(promtool: str, folder: Path, key: str) -> bool:
    """Whether a promtool was built without what a key of a job configures."""
    file = folder / "lacks.yml"
    file.write_text(f"scrape_configs:\n  - job_name: a\n    {key}\n")
    done = subprocess.run([promtool, "check", "config", str(file)], capture_output=True, text=True)
    return f"field {key.partition(':')[0]} not found" in done.stdout + done.stderr


def discovered(found: list[dict[str, Any]], phase: str) -> Iterator[dict[str, Any]]:
    """What Prometheus knows of the ports of pods, as its documentation has it:

    https://prometheus.io/docs/prometheus/latest/configuration/configuration/#pod
    """
    for name, template in templates(found).items():
        kinds = ("label", template["metadata"]["labels"])
        kinds = (kinds, ("annotation", template["metadata"].get("annotations", {})))
        known = {f"__meta_kubernetes_pod_{kind}_{re.sub(r'[^a-zA-Z0-9]', '_', key)}": value
                 for kind, given in kinds for key, value in given.items()}  # fmt: skip
        known |= {"__meta_kubernetes_pod_phase": phase, "__meta_kubernetes_pod_name": f"{name}-1"}
        for each in ports(template):
            known["__meta_kubernetes_pod_container_port_name"] = each.get("name", "")
            known["__meta_kubernetes_pod_container_port_number"] = str(each["containerPort"])
            yield {"targets": [f"10.0.0.1:{each['containerPort']}"], "labels": dict(known)}


def labelled(promtool: str, folder: Path, job: dict[str, Any], phase: str = "Running") -> set[Any]:
    """How promtool labels the pods of our stack, by a scrape job that would find them itself."""
    job = {key: each for key, each in job.items() if key != "kubernetes_sd_configs"}
    job["static_configs"] = [*discovered(manifests.objects(made(), PLACE), phase)]
    (folder / "found.yml").write_text(json.dumps({"scrape_configs": [job]}))
    words = ("check", "service-discovery", "--timeout=1s", folder / "found.yml", job["job_name"])
    answer = json.loads(run(promtool, *words))
    kept = [each["labels"] for each in answer if each.get("labels")]
    plain = [{k: v for k, v in each.items() if not k.startswith("__")} for each in kept]
    return {tuple(sorted(each.items())) for each in plain}


# What the alerts and the dashboards need.
KNOWN = {
    (("environment", "shop-prod"), ("instance", "10.0.0.1:9464"), ("job", "app"), ("service", name))
    for name in SERVING
}


def test_the_example_for_a_prometheus_finds_our_pods_and_labels_them(promtool, tmp_path):
    text = example("scrape_configs:")
    file, finds = tmp_path / "prometheus.yml", "kubernetes_sd_configs: [{role: pod}]"
    # Debian's promtool does not know how clusters are asked; it checks all else.
    known = text.replace(finds, "") if lacks(promtool, tmp_path, finds) else text
    assert finds in text
    file.write_text(known)
    run(promtool, "check", "config", file)
    (job,) = yaml.safe_load(text)["scrape_configs"]
    assert job["kubernetes_sd_configs"] == [{"role": "pod"}]
    assert labelled(promtool, tmp_path, job) == KNOWN
    # Pods that have ended stay in a cluster for a while.
    assert labelled(promtool, tmp_path, job, "Failed") == set()


def test_a_pod_monitor_labels_them_in_the_same_way(promtool, tmp_path):
    (one,) = metrics.monitors(made(), PLACE)
    (endpoint,) = one["spec"]["podMetricsEndpoints"]
    # What the operator makes of it: the pods that are chosen, at the port of that name.
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    rules = [
        {"source_labels": ["__meta_kubernetes_pod_container_port_name"], "action": "keep",
         "regex": endpoint["port"]},
        *({names.get(k, k): v for k, v in each.items()} for each in endpoint["relabelings"]),
    ]  # fmt: skip
    job = {"job_name": "podMonitor", "relabel_configs": rules}
    assert labelled(promtool, tmp_path, job) == KNOWN


# What a rule says on a cluster, whose environments are stacks.
SAID = """
rule_files: [rules-of-shop.yml]
tests:
  - interval: 1m
    input_series: [{series: 'app_beat_up{environment="shop-prod"}', values: 0x9}]
    alert_rule_test:
      - alertname: BeatSilent
        eval_time: 5m
        exp_alerts:
          - exp_labels: {severity: critical, environment: shop-prod}
            exp_annotations:
              summary: "no beat runs: nothing sends the jobs that are due"
              action: >-
                ./inv status --env=prod; why: ./inv logs --env=prod --service=beat;
                stopped: ./inv deploy --env=prod
              runbook: docs/oncall.md#beatsilent
"""


def test_the_alerts_are_loaded_as_the_page_says(promtool, tmp_path):
    (tmp_path / "compose").symlink_to(ROOT / "compose")
    for begins in ("sed ", "cat >prometheusrule.yml"):
        lines = [each for each in example(begins).splitlines() if not each.startswith("kubectl ")]
        subprocess.run(["sh", "-euc", "\n".join(lines)], check=True, cwd=tmp_path)
    rule = yaml.safe_load((tmp_path / "prometheusrule.yml").read_text())
    assert (rule["apiVersion"], rule["kind"]) == (metrics.OPERATOR, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((tmp_path / "rules-of-shop.yml").read_text())
    (tmp_path / "spec.yml").write_text(json.dumps(rule["spec"]))
    run(promtool, "check", "rules", tmp_path / "spec.yml")
    (tmp_path / "said.yml").write_text(SAID)
    run(promtool, "test", "rules", tmp_path / "said.yml")
    expected = example("groups:")
    (tmp_path / "expected.yml").write_text(expected)
    run(promtool, "check", "rules", tmp_path / "expected.yml")
    (group,) = yaml.safe_load(expected)["groups"]
    assert {each["record"] for each in group["rules"]} == {"expected_service"}
