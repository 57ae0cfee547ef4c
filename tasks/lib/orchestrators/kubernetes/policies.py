"""Who may connect to what in a stack's namespace. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..stack import Stack
from . import metrics, naming
from .place import Place

Object = dict[str, Any]
# The label by which every cluster knows a namespace by its name.
NAMESPACE = "kubernetes.io/metadata.name"


def policies(stack: Stack, place: Place) -> Iterator[Object]:
    """Yield them: pods of the stack may reach each other, everybody the proxy.

    Pods of the namespace of the cluster's Prometheus may ask for metrics, and for nothing else.
    """
    inside = {"podSelector": {"matchLabels": naming.labels(stack.name)}}
    yield _policy(stack, "inside", inside["podSelector"], {"from": [inside]})
    for name, service in sorted(stack.services.items()):
        if ports := service.get("ports"):
            chosen = {"matchLabels": naming.labels(stack.name, name)}
            rule = {"ports": [{"port": each["target"]} for each in ports]}
            yield _policy(stack, name, chosen, rule)
    if place.prometheus and stack.metrics:
        asks = {"namespaceSelector": {"matchLabels": {NAMESPACE: place.prometheus}}}
        ports = [{"port": port} for port in sorted({*stack.metrics.values()})]
        rule = {"from": [asks], "ports": ports}
        yield _policy(stack, metrics.NAME, metrics.serving(stack), rule)


def _policy(stack: Stack, name: str, chosen: Object, rule: Object) -> Object:
    spec = {"podSelector": chosen, "policyTypes": ["Ingress"], "ingress": [rule]}
    meta = naming.metadata(name, stack.name)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta,
        "spec": spec,
    }
