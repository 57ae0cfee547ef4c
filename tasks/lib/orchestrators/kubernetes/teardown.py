"""A stack is removed from its namespace, and the namespace if it was made for it."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from ...kubernetes.client import Cluster
from ...process import wait_until
from . import inventory, namespace, naming
from .jobs import clear

# Seconds until the pods of a stack are gone, then until those are that did not stop.
LONGEST, SHORTLY, POLL = 120, 30, 0.5
KEPT = (inventory.DATA, "Secret", "ConfigMap", "Lease")


def remove(cluster: Cluster, stack: str, volumes: bool) -> list[str]:
    """Remove a stack, with volumes also its data and secrets; return what is left."""
    clear(cluster, stack)
    keeping = {each["metadata"]["name"] for each in cluster.list("StatefulSet", _of(stack))}
    # The app first: a worker stops only while its broker answers.
    _delete(cluster, stack, ["Deployment"])
    _gone(cluster, stack, LONGEST, but=keeping)
    kinds = [*inventory.WORKLOADS, *inventory.BESIDE, *inventory.SOME, *(KEPT if volumes else ())]
    _delete(cluster, stack, kinds)
    if not _gone(cluster, stack, LONGEST):
        for each in _pods(cluster, stack):
            cluster.delete("Pod", each["metadata"]["name"], grace=1)
    if not _gone(cluster, stack, SHORTLY):
        names = [each["metadata"]["name"] for each in _pods(cluster, stack)]
        return [f"{cluster.name}: still there: {', '.join(names)}"]
    return namespace.remove(cluster, stack) if volumes else []


def _of(stack: str) -> dict[str, Any]:
    return naming.labels(stack)


def _delete(cluster: Cluster, stack: str, kinds: Collection[str]) -> None:
    for kind in kinds:
        for name in inventory.named(cluster, kind, stack):
            cluster.delete(kind, name)


def _pods(cluster: Cluster, stack: str, but: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the pods of a stack, but for those of some services."""
    every = cluster.list("Pod", _of(stack))
    return [each for each in every if each["metadata"]["labels"].get(naming.SERVICE) not in but]


def _gone(cluster: Cluster, stack: str, seconds: float, but: Collection[str] = ()) -> bool:
    """Wait until the pods of a stack are gone; return whether they are."""
    with suppress(TimeoutError):
        wait_until(lambda: cluster.dry or not _pods(cluster, stack, but), seconds, POLL)
        return True
    return False
