"""All objects of a stack, in the order in which they are applied. Pure; it asks no cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import yaml

from ...project import contract
from ..stack import Stack
from . import metrics, mounts, naming, policies, scaling
from .mounts import VALUE
from .place import Place
from .workloads import replicas, workload

Object = dict[str, Any]
# Labels of a volume in a Compose file: its size, and its storage class if not the default one.
SIZE, CLASS = "deploy.size", "deploy.storageclass"
DEFAULT_SIZE = "1Gi"
NONE: Mapping[str, int] = MappingProxyType({})


def objects(
    stack: Stack, place: Place, former: str = "", running: Mapping[str, int] = NONE
) -> list[Object]:
    """Return the objects of a stack.

    Args:
        former: the app's image that runs before, whose static files pages that are open need.
        running: how many replicas services have now.
    """
    counts = scaling.counts(stack, place, running)
    made = [
        *configs(stack),
        *_claims(stack),
        *(_service(stack, name, place) for name in sorted(stack.services)),
        *policies.policies(stack, place),
        *metrics.monitors(stack, place),
        *_budgets(stack, place),
        *_ingress(stack, place),
        *_routes(stack, place),
        *workloads(stack, former, counts),
        *scaling.scalers(stack, place),
    ]
    return [_in(place, each) for each in made]


def text(found: Sequence[Object]) -> str:
    """Return objects as the text of a file for kubectl."""
    # Values that appear twice are written twice.
    plain = json.loads(json.dumps(found))
    return str(yaml.safe_dump_all(plain, sort_keys=True))


def _in(place: Place, made: Object) -> Object:
    return {**made, "metadata": {**made["metadata"], "namespace": place.namespace}}


def configs(stack: Stack) -> Iterator[Object]:
    """Yield a ConfigMap for the text of each config; its name is that of the content's version."""
    for name, content in sorted(stack.configs.items()):
        labels = {naming.KIND: "config"}
        meta = naming.metadata(
            naming.version(stack.name, name), stack.name, labels=labels,
            annotations={naming.VERSION: name},
        )  # fmt: skip
        base = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
        yield {**base, "immutable": True, "data": {VALUE: content}}


def _claims(stack: Stack) -> Iterator[Object]:
    """Yield a claim for each volume that a service keeps data on."""
    for name in sorted(set[str]().union(*map(mounts.kept, stack.services.values()))):
        labels = (stack.content.get("volumes", {}).get(name) or {}).get("labels") or {}
        storage = {"storageClassName": labels[CLASS]} if labels.get(CLASS) else {}
        yield {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": naming.metadata(name, stack.name),
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": labels.get(SIZE) or DEFAULT_SIZE}},
                **storage,
            },
        }


def _service(stack: Stack, name: str, place: Place) -> Object:
    """Return what names a service's replicas: each of them, but for the proxy's own address."""
    service = stack.services[name]
    spec: Object = {"selector": naming.labels(stack.name, name)}
    if ports := service.get("ports", []):
        spec |= {"type": place.service, "ports": [_port(each, place) for each in ports[:1]]}
        if place.service != "ClusterIP":
            spec["externalTrafficPolicy"] = place.traffic
    else:
        spec |= {"clusterIP": "None"}
    if name == contract.APP:
        spec["ports"] = [{"name": "http", "port": contract.PORT}]
    meta = naming.metadata(name, stack.name, name)
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def _port(port: Mapping[str, Any], place: Place) -> Object:
    fixed = {"nodePort": place.port} if place.port else {}
    return {"name": "http", "port": port["target"], **fixed}


def _budgets(stack: Stack, place: Place) -> Iterator[Object]:
    """Yield a budget for what has several replicas; with one, its node could not be drained."""
    for name, service in sorted(stack.services.items()):
        limits = place.scaling.get(name)
        if (limits.least if limits else replicas(service)) > 1:
            chosen = {"matchLabels": naming.labels(stack.name, name)}
            yield {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": naming.metadata(name, stack.name, name),
                "spec": {"maxUnavailable": 1, "selector": chosen},
            }


def _ingress(stack: Stack, place: Place) -> Iterator[Object]:
    """Yield the Ingress in front of the proxy, without any controller's own annotations."""
    for name in _doors(stack) if place.ingress else []:
        backend = {"service": {"name": name, "port": {"name": "http"}}}
        path = {"path": "/", "pathType": "Prefix", "backend": backend}
        own = {} if place.wildcard else {"secretName": f"{stack.name}-tls"}
        tls = {"hosts": [place.host], **own}
        yield {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": naming.metadata(name, stack.name, name),
            "spec": {
                "ingressClassName": place.ingress,
                "rules": [{"host": place.host, "http": {"paths": [path]}}],
                **({"tls": [tls]} if place.encrypted else {}),
            },
        }


def _routes(stack: Stack, place: Place) -> Iterator[Object]:
    """Yield the route from a Gateway, which others keep, to the proxy. It has the certificate."""
    namespace, _, gateway = place.gateway.partition("/")
    for name in _doors(stack) if place.gateway else []:
        port = stack.services[name]["ports"][0]["target"]
        path = {"path": {"type": "PathPrefix", "value": "/"}}
        yield {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": naming.metadata(name, stack.name, name),
            "spec": {
                "parentRefs": [{"name": gateway, "namespace": namespace}],
                "hostnames": [place.host],
                "rules": [{"matches": [path], "backendRefs": [{"name": name, "port": port}]}],
            },
        }


def _doors(stack: Stack) -> list[str]:
    """Return the services that everybody may reach."""
    return [name for name, service in stack.services.items() if service.get("ports")]


def workloads(stack: Stack, former: str = "", counts: Mapping[str, int] = NONE) -> list[Object]:
    """Return what runs the pods: first what keeps data, then the proxy, then the app.

    Args:
        counts: how many replicas those services have that the cluster scales.
    """
    static = [former] if former and former != stack.image else []
    names = sorted(stack.services)
    made = [workload(stack, k, [*static, stack.image], counts.get(k)) for k in names]
    own = {*stack.ours}
    kinds = ("StatefulSet", "Deployment")
    return sorted(made, key=lambda it: (kinds.index(it["kind"]), it["metadata"]["name"] in own))
