"""What lets a cluster's own Prometheus find the pods of a stack that serve metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..stack import Stack
from . import naming
from .place import Place

Object = dict[str, Any]
# The name of the port at which pods serve metrics.
PORT = "metrics"
# What the objects are called: no service has a dot in its name.
NAME = "prometheus.metrics"
# The Prometheus operator's group of kinds.
OPERATOR = "monitoring.coreos.com/v1"
# What alerts and dashboards know series by, and where each is in the labels of a pod.
LABELS = {"environment": naming.STACK, "service": naming.SERVICE}
# The job of the alerts that are about replicas: compose/monitoring/rules.yml.
JOB = "app"
# How many series a pod may have, as in compose/monitoring/prometheus.yml.
MOST = 20000


def notes(stack: Stack, name: str) -> dict[str, str]:
    """Return the annotations of a service's pods by which many a Prometheus finds them."""
    port = stack.metrics.get(name)
    return {"prometheus.io/port": str(port), "prometheus.io/scrape": "true"} if port else {}


def monitors(stack: Stack, place: Place) -> Iterator[Object]:
    """Yield what a Prometheus operator reads: which pods to ask, and how series are labelled."""
    if place.podmonitor and stack.metrics:
        meta = naming.metadata(NAME, stack.name)
        meta["labels"] = {**place.podmonitor, **meta["labels"]}
        labels: list[Object] = [{"targetLabel": "job", "replacement": JOB}]
        labels += [
            {"sourceLabels": [_discovered(label)], "targetLabel": name}
            for name, label in LABELS.items()
        ]
        yield {
            "apiVersion": OPERATOR,
            "kind": "PodMonitor",
            "metadata": meta,
            "spec": {
                "selector": serving(stack),
                "podMetricsEndpoints": [{"port": PORT, "relabelings": labels}],
                "sampleLimit": MOST,
            },
        }


def serving(stack: Stack) -> Object:
    """Return the selector of the pods of the services that serve metrics."""
    names = {"key": naming.SERVICE, "operator": "In", "values": sorted(stack.metrics)}
    return {"matchLabels": naming.labels(stack.name), "matchExpressions": [names]}


def _discovered(label: str) -> str:
    """Return what Prometheus calls a label of a pod that it finds."""
    plain = "".join(each if each.isalnum() else "_" for each in label)
    return f"__meta_kubernetes_pod_label_{plain}"
