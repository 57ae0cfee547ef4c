"""What is left of a pod that failed: its node, its last lines, what the cluster said of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...errors import TaskError, explain
from ...kubernetes.client import Cluster
from ..evidence import LAST
from ..status import Evidence, Failure

# Why a cluster warns of a pod whose probe fails.
UNHEALTHY = "Unhealthy"


def collect(cluster: Cluster, failure: Failure) -> Evidence:
    """Return what is left of a pod that failed. Never raises."""
    pod = failure.handle or {}
    node = (pod.get("spec") or {}).get("nodeName") or "no node"
    told = _warnings(cluster, pod)
    complaints = [message for reason, message in told if reason == UNHEALTHY]
    others = [f"{reason}: {message}" for reason, message in told if reason != UNHEALTHY]
    health = complaints[-1] if complaints else ""
    return Evidence(node, health, _lines(cluster, pod), others[-LAST:])


def _lines(cluster: Cluster, pod: Mapping[str, Any]) -> list[str]:
    try:
        name, first = pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]
        known = (pod.get("status") or {}).get("containerStatuses") or []
        again = any(each.get("restartCount") for each in known)
        return cluster.log(name, first, tailLines=str(LAST), previous=str(again).lower())
    except Exception as error:
        return [f"they cannot be read: {explain(error)}"]


def _warnings(cluster: Cluster, pod: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return why the cluster warned of a pod, and its words; nothing if they cannot be read."""
    uid = (pod.get("metadata") or {}).get("uid")
    with suppress(TaskError):
        return [
            (each.get("reason", ""), " ".join(each.get("message", "").split()))
            for each in cluster.list("Event", {})
            if each["involvedObject"].get("uid") == uid and each.get("type") == "Warning"
        ]
    return []
