"""What a workload was given, in Kubernetes' words, to compare it with what it was given before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .pods import STATIC

# The annotation of a workload whose number of replicas the cluster chooses.
SCALED = "deploy.scaled"


def spec(workload: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a workload was given; containers and their variables are found by name."""
    made = dict(workload["spec"])
    if SCALED in (workload["metadata"].get("annotations") or {}):
        made.pop("replicas", None)
    template = dict(made.pop("template"))
    pod = dict(template.get("spec") or {})
    for kind in ("initContainers", "containers"):
        # Whose static files are laid is not the stack's to say: see rollout.
        own = [each for each in pod.get(kind, []) if not each["name"].startswith(STATIC)]
        pod[kind] = {each["name"]: _container(each) for each in own}
    pod["volumes"] = {each["name"]: each for each in pod.get("volumes") or []}
    labels = (template.get("metadata") or {}).get("labels") or {}
    notes = (template.get("metadata") or {}).get("annotations") or {}
    return {**made, "labels": labels, "annotations": notes, "pod": pod}


def _container(container: Mapping[str, Any]) -> dict[str, Any]:
    known = {
        each["name"]: each.get("value", each.get("valueFrom"))
        for each in container.get("env") or []
    }
    mounts = {each["mountPath"]: each for each in container.get("volumeMounts") or []}
    return {**container, "env": {}, "environment": known, "volumeMounts": mounts}
