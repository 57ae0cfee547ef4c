"""Objects as dictionaries, and as lightkube has them."""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from typing import Any

Object = dict[str, Any]
# Where lightkube has each kind.
MODULES = {
    "apps_v1": ("Deployment", "ReplicaSet", "StatefulSet"),
    "autoscaling_v2": ("HorizontalPodAutoscaler",),
    "authorization_v1": ("SelfSubjectAccessReview",),
    "batch_v1": ("Job",),
    "coordination_v1": ("Lease",),
    "core_v1": (
        *("ConfigMap", "Event", "Namespace", "Node", "PersistentVolumeClaim", "Pod"),
        *("ResourceQuota", "Secret", "Service", "ServiceAccount"),
    ),
    "networking_v1": ("Ingress", "IngressClass", "NetworkPolicy"),
    "policy_v1": ("PodDisruptionBudget",),
    "storage_v1": ("StorageClass",),
}


# Those that it does not have: a cluster may have them, or not. Their group, version and plural.
OTHERS = {
    "HTTPRoute": ("gateway.networking.k8s.io", "v1", "httproutes"),
    "PodMonitor": ("monitoring.coreos.com", "v1", "podmonitors"),
}


_ready: dict[str, Any] = {}
_getting_ready = Lock()


def resource(kind: str) -> Any:
    """Return lightkube's class of a kind, whose objects several threads may read at once.

    What msgspec has to know of a class it finds out when it first reads one. It crashes if another
    thread reads one meanwhile.
    """
    with _getting_ready:
        if kind not in _ready:
            from lightkube.core import decoders
            from lightkube.models.meta_v1 import ObjectMeta

            _ready[kind] = _found(kind)
            decoders.decode_list(b'{"items": []}', _ready[kind])
            decoders.decode_status(b"{}")
            ObjectMeta.from_dict({})
        return _ready[kind]


def _found(kind: str) -> Any:
    if kind in OTHERS:
        from lightkube.generic_resource import create_namespaced_resource

        group, version, plural = OTHERS[kind]
        return create_namespaced_resource(group, version, kind, plural)
    module = next(name for name, kinds in MODULES.items() if kind in kinds)
    return getattr(import_module(f"lightkube.resources.{module}"), kind)


def typed(made: Object) -> Any:
    """Return an object of its kind's class."""
    from lightkube import codecs

    resource(made["kind"])
    return codecs.from_dict(made)


def plain(answer: Any) -> Any:
    """Return an answer as dictionaries; those of a list do not say their kind."""
    if isinstance(answer, list):
        return [plain(each) for each in answer]
    return answer.to_dict() if hasattr(answer, "to_dict") else answer
