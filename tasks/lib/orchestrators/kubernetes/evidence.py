"""What is left of a pod that failed: its node, its last lines, what its probe complained of."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...errors import TaskError, explain
from ...kubernetes.client import Cluster
from ..evidence import LAST
from ..status import Evidence, Failure


def collect(cluster: Cluster, failure: Failure) -> Evidence:
    """Return what is left of a pod that failed. Never raises."""
    pod = failure.handle or {}
    node = (pod.get("spec") or {}).get("nodeName") or "no node"
    return Evidence(node, _complaint(cluster, pod), _lines(cluster, pod))


def _lines(cluster: Cluster, pod: Mapping[str, Any]) -> list[str]:
    try:
        name, first = pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]
        known = (pod.get("status") or {}).get("containerStatuses") or []
        again = any(each.get("restartCount") for each in known)
        return cluster.log(name, first, LAST, previous=again)
    except Exception as error:
        return [f"they cannot be read: {explain(error)}"]


def _complaint(cluster: Cluster, pod: Mapping[str, Any]) -> str:
    """Return the last message of a probe that failed; empty without one."""
    uid = (pod.get("metadata") or {}).get("uid")
    with suppress(TaskError):
        events = [
            each
            for each in cluster.list("Event", {})
            if each["involvedObject"].get("uid") == uid and each.get("reason") == "Unhealthy"
        ]
        return " ".join(events[-1].get("message", "").split()) if events else ""
    return ""
