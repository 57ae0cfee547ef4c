"""Services whose number of replicas the cluster chooses: a deploy leaves it as it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...project import contract
from ..stack import Stack
from . import naming
from .place import Place
from .workloads import keeps_data

Object = dict[str, Any]


def counts(stack: Stack, place: Place, running: Mapping[str, int]) -> dict[str, int]:
    """Return how many replicas each scaled service begins with: as many as run, within its limits.

    Args:
        running: how many replicas services have now.
    """
    return {
        name: min(max(running.get(name, 0), limits.least), limits.most)
        for name, limits in sorted(place.scaling.items())
        if name in stack.services
    }


def scalers(stack: Stack, place: Place) -> Iterator[Object]:
    """Yield what chooses the number of replicas, one for each scaled service."""
    for name, limits in sorted(place.scaling.items()):
        if name not in stack.services:
            continue
        used = {"type": "AverageValue", "averageValue": limits.cpu}
        yield {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": naming.metadata(name, stack.name, name),
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "minReplicas": limits.least,
                "maxReplicas": limits.most,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": used}}],
            },
        }


def problems(stack: Stack, place: Place) -> Iterator[str]:
    """Yield a line for each service that cannot be scaled."""
    for name in sorted(place.scaling):
        service = stack.services.get(name)
        if service is None:
            known = ", ".join(sorted(stack.services))
            yield f"kubernetes.scaling.{name}: no such service - known: {known}"
        elif service.get("command") == [contract.BEAT] or keeps_data(service):
            yield f"kubernetes.scaling.{name}: only one replica of it may run - remove it there"
