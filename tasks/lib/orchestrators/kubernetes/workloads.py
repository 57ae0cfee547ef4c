"""What runs the pods of a service: a Deployment, a StatefulSet if it keeps data, a Job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..base import Job
from ..stack import Stack
from . import metrics, mounts, naming, pods
from .spec import SCALED

# The annotation with what a workload was made from: the part of the stack that it needs.
CONTENT = "deploy.content"
# How many old versions stay, so that an undo finds its replicas.
REVISIONS = 2


def keeps_data(service: Mapping[str, Any]) -> bool:
    """Return whether a service has files that outlive its pods."""
    return bool(mounts.kept(service))


def workload(
    stack: Stack, name: str, static: Sequence[str] = (), count: int | None = None
) -> dict[str, Any]:
    """Return what runs the pods of a service.

    The number of its release is on it, not on its pods: a deploy of the same replaces none.

    Args:
        count: of the replicas, if the cluster chooses it.
    """
    service = stack.services[name]
    kept = keeps_data(service)
    notes = {CONTENT: json.dumps(stack.part(name), sort_keys=True), **_notes(service)}
    notes |= {SCALED: "cpu"} if count else {}
    measured = metrics.notes(stack, name)
    meta = {
        "labels": naming.labels(stack.name, name),
        **({"annotations": measured} if measured else {}),
    }
    pod = {
        "metadata": meta,
        "spec": pods.pod(stack, name, static),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet" if kept else "Deployment",
        "metadata": naming.metadata(
            name, stack.name, name, annotations=dict(sorted(notes.items()))
        ),
        "spec": {
            "replicas": count or replicas(service),
            "revisionHistoryLimit": REVISIONS,
            "selector": {"matchLabels": naming.labels(stack.name, name)},
            "template": pod,
            **({"serviceName": name} if kept else {"strategy": _strategy(service)}),
        },
    }


def _notes(service: Mapping[str, Any]) -> dict[str, str]:
    return dict(service.get("deploy", {}).get("labels", {}))


def replicas(service: Mapping[str, Any]) -> int:
    """Return how many replicas a service has."""
    return int(service.get("deploy", {}).get("replicas", 1))


def _strategy(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return how replicas are replaced: new ones start first.

    So does beat, which sends nothing until the other one has gone (docker/beat.py): a cluster would
    wait for the end of one whose node is away.
    """
    pace = service.get("deploy", {}).get("update_config", {}).get("parallelism") or 1
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": pace, "maxUnavailable": 0}}


def job(stack: Stack, job: Job, mark: str, timeout: int) -> dict[str, Any]:
    """Return a one-off job: a pod that is started once.

    Args:
        mark: what no other run of it has.
        timeout: seconds after which the cluster itself ends it.
    """
    service = _job_service(stack, job)
    mounted = mounts.mounted(stack, service)
    spec = pods.spec(service, mounted)
    labels = {**naming.labels(stack.name), naming.JOB: job.name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": naming.metadata(f"job-{job.name}-{mark}", stack.name, labels=labels),
        "spec": {
            "activeDeadlineSeconds": timeout,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {"labels": labels},
                "spec": spec
                | {"containers": [pods.container(job.name, service, mounted)]}
                | pods.beside(stack, service)
                | {"restartPolicy": "Never"},
            },
        },
    }


def _job_service(stack: Stack, job: Job) -> dict[str, Any]:
    """Return the service that a job is: the app's, but for what differs. It is never root."""
    app = stack.services[stack.ours[0]]
    made = {**app, **job.overrides, "command": [word.replace("$", "$$") for word in job.command]}
    made["deploy"] = {"resources": app.get("deploy", {}).get("resources", {})}
    made["cap_add"] = []
    if not pods.user({"user": made.get("user")}):
        like = [each for each in stack.services.values() if each["image"] == made["image"]]
        made["user"] = next((user for each in like if (user := pods.user(each))), "")
    return made
