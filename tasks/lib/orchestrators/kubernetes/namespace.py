"""The namespace of a stack: made if the user may, and removed if it was made for the stack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from ... import console
from ...errors import ExitCode, TaskError
from ...kubernetes.client import Cluster
from ...kubernetes.requests import DENIED, ClusterError, unless
from ...process import wait_until
from . import inventory, naming

Object = dict[str, Any]
KIND = "Namespace"
# Pods of another profile are refused.
PROFILE = {"pod-security.kubernetes.io/enforce": "restricted"}
# What the cluster itself puts into each namespace.
CLUSTERS = {"kube-root-ca.crt"}
TOKEN = "kubernetes.io/service-account-token"  # noqa: S105
# Seconds until a namespace is gone, and the pause between two looks.
LONGEST, POLL = 120, 0.5


def absent(cluster: Cluster, name: str = "") -> bool:
    """Return whether there is none; if the user may not look, there is one.

    Args:
        name: of another namespace than the stack's.
    """
    return unless(DENIED, lambda: cluster.get(KIND, name or cluster.namespace) or "") == ""


def make(cluster: Cluster, stack: str) -> Iterator[str]:
    """Make it, unless it exists; yield a line if it was made."""
    found = unless(DENIED, lambda: cluster.get(KIND, cluster.namespace))
    if found and _ends(found):
        _await_end(cluster)
    if not absent(cluster):
        return
    meta = naming.metadata(cluster.namespace, stack, labels=PROFILE)
    try:
        cluster.create({"apiVersion": "v1", "kind": KIND, "metadata": meta})
    except ClusterError as error:
        if error.status != DENIED:
            raise
        what = f"{cluster.name}: there is no such namespace, and the user may not create it"
        hint = f"let an administrator run: kubectl create namespace {cluster.namespace}"
        raise TaskError(what, hint, ExitCode.REFUSED) from None
    yield f"{cluster.name}: a new namespace"


def _ends(found: Object) -> bool:
    return bool(found["metadata"].get("deletionTimestamp"))


def remove(cluster: Cluster, stack: str) -> list[str]:
    """Remove it if it was made for a stack and no other object is in it; return what is left."""
    found = unless(DENIED, lambda: cluster.get(KIND, cluster.namespace))
    if not found or (found["metadata"].get("labels") or {}).get(naming.STACK) != stack:
        return []
    if others := _others(cluster, stack):
        console.warn(f"{cluster.name}: the namespace stays, since it has {', '.join(others)}")
        return []
    cluster.delete(KIND, cluster.namespace)
    try:
        _await_end(cluster)
    except TaskError as error:
        return [str(error)]
    return []


def _others(cluster: Cluster, stack: str) -> list[str]:
    """Return what others have put there."""
    kinds = (*inventory.WORKLOADS, "Service", "Ingress", inventory.DATA, "Job", "ConfigMap")
    found = [(kind, each) for kind in kinds for each in cluster.list(kind, {})]
    secrets = cluster.list("Secret", {})
    found += [("Secret", each) for each in secrets if each.get("type") not in {TOKEN, naming.AUDIT}]
    return [
        f"{kind} {each['metadata']['name']}"
        for kind, each in found
        if not _is_of(each, stack) and each["metadata"]["name"] not in CLUSTERS
    ]


def _is_of(each: Object, stack: str) -> bool:
    return (each["metadata"].get("labels") or {}).get(naming.STACK) == stack


def _await_end(cluster: Cluster) -> None:
    """Wait until it is gone. Raises TaskError, with what the cluster waits for."""
    if cluster.dry:
        return
    with suppress(TimeoutError):
        wait_until(lambda: absent(cluster), LONGEST, POLL)
        return
    found = cluster.get(KIND, cluster.namespace) or {}
    conditions = (found.get("status") or {}).get("conditions") or []
    why = "; ".join(each["message"] for each in conditions if each.get("status") == "True")
    what = f"{cluster.name}: the namespace is not gone after {LONGEST} s"
    what = ": ".join(filter(None, (what, why)))
    raise TaskError(what, f"kubectl describe namespace {cluster.namespace}")


def foreign(cluster: Cluster, made: Sequence[Object], stack: str) -> list[str]:
    """Return the objects of a stack whose names others have in the namespace, a line each."""
    names = defaultdict[str, set[str]](set)
    for each in made:
        names[each["kind"]].add(each["metadata"]["name"])
    taken = [
        f"{kind} {each['metadata']['name']}"
        for kind in names
        for each in cluster.list(kind, {})
        if each["metadata"]["name"] in names[kind] and not _is_of(each, stack)
    ]
    hint = "remove it, or set kubernetes.namespace in invoke.yaml to one of its own"
    return [f"{cluster.name}: {each} is not of {stack} - {hint}" for each in taken]
