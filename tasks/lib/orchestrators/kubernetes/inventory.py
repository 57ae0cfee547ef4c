"""What there is of a stack in its namespace."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from ...errors import TaskError
from ...kubernetes.client import Cluster
from ...kubernetes.requests import DENIED, MISSING, unless
from ...project import contract
from ..stack import Stack
from ..status import Service, Volume
from . import naming
from .observation import image, observed
from .workloads import CONTENT

WORKLOADS = ("StatefulSet", "Deployment")
# What a service has beside its workload, by its name.
BESIDE = ("PodDisruptionBudget", "NetworkPolicy", "Service")
# What only some have: a user needs no right for it otherwise, and a cluster may not know it.
SOME = ("Ingress", "HTTPRoute", "HorizontalPodAutoscaler", "PodMonitor")
DATA = "PersistentVolumeClaim"


class Found(NamedTuple):
    """What a stack runs: its workloads by the names of services, their versions, and all pods."""

    workloads: Mapping[str, dict[str, Any]]
    sets: list[dict[str, Any]]
    pods: list[dict[str, Any]]

    def services(self) -> dict[str, Service]:
        """Return its services, as they run."""
        pods = defaultdict[str, list[dict[str, Any]]](list)
        for each in self.pods:
            pods[each["metadata"]["labels"].get(naming.SERVICE, "")].append(each)
        pairs = sorted(self.workloads.items())
        return {name: observed(name, each, self.sets, pods[name]) for name, each in pairs}

    def stack(self, name: str) -> Stack:
        """Return what runs as a stack. Raises TaskError if its app is not pinned by a digest."""
        content: dict[str, Any] = {"services": {}}
        for service, each in self.workloads.items():
            part = json.loads(each["metadata"]["annotations"][CONTENT])
            for kind, known in part.items():
                content.setdefault(kind, {}).update(known)
            content["services"][service]["image"] = image(each)
        app = content["services"].get(contract.APP, {}).get("image", "")
        if "@sha256:" not in app:
            what = f"{name} runs no {contract.APP} with an image that is pinned by its digest"
            raise TaskError(what, "deploy it anew: inv deploy")
        return Stack(name, app, content)


def look(cluster: Cluster, stack: str) -> Found:
    """Return what a stack runs."""
    chosen = {**naming.labels(stack), naming.SERVICE: None}
    workloads = {
        each["metadata"]["name"]: each for kind in WORKLOADS for each in cluster.list(kind, chosen)
    }
    return Found(workloads, cluster.list("ReplicaSet", chosen), cluster.list("Pod", chosen))


def missing(cluster: Cluster, stack: Stack) -> list[str]:
    """Return the secrets and configs that a stack needs and that are gone."""
    return [
        f"{kind.lower().replace('configmap', 'config')} {name}"
        for kind, part in (("Secret", "secrets"), ("ConfigMap", "configs"))
        for name in sorted(stack.versions(part))
        if cluster.get(kind, naming.version(stack.name, name)) is None
    ]


def volumes(cluster: Cluster, stack: str) -> list[Volume]:
    """Return the claims of a stack."""
    return [
        Volume(
            each["metadata"]["name"],
            datetime.fromisoformat(each["metadata"]["creationTimestamp"]).timestamp(),
            f"kubectl --namespace={cluster.namespace} delete pvc {each['metadata']['name']}",
        )
        for each in cluster.list(DATA, naming.labels(stack))
    ]


def remove_services(cluster: Cluster, stack: str, names: set[str]) -> None:
    """Remove services with all that they have, but for their data."""
    for kind in (*WORKLOADS, *BESIDE, *SOME):
        for name in named(cluster, kind, stack):
            if name in names:
                cluster.delete(kind, name)


def named(cluster: Cluster, kind: str, stack: str) -> list[str]:
    """Return the names of a stack's objects of a kind; none of what the user need not know."""
    listed = partial(cluster.list, kind, naming.labels(stack))
    known = unless(MISSING, lambda: unless(DENIED, listed)) if kind in SOME else listed()
    return [each["metadata"]["name"] for each in known or []]


def prune(cluster: Cluster, stack: str, made: Iterable[Mapping[str, Any]]) -> None:
    """Remove what a stack's services had beside their workloads and have no longer."""
    wanted = {(each["kind"], each["metadata"]["name"]) for each in made}
    for kind in (*BESIDE, *SOME):
        for name in named(cluster, kind, stack):
            if (kind, name) not in wanted:
                cluster.delete(kind, name)
