"""What a user must be allowed to do in the namespace: for a deploy, its undo, and the removal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ...kubernetes.client import Cluster
from .place import Place

CHANGE = ("get", "list", "create", "patch", "delete")
NEEDED: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "deployments"): (*CHANGE, "update"),
    ("apps", "statefulsets"): (*CHANGE, "update"),
    ("apps", "replicasets"): ("list",),
    ("batch", "jobs"): CHANGE,
    ("coordination.k8s.io", "leases"): ("get", "list", "create", "update", "delete"),
    ("", "configmaps"): CHANGE,
    ("", "secrets"): CHANGE,
    ("", "services"): CHANGE,
    ("", "persistentvolumeclaims"): CHANGE,
    ("", "pods"): ("get", "list", "create", "delete"),
    ("", "pods/log"): ("get",),
    ("", "pods/exec"): ("get", "create"),
    ("", "events"): ("list",),
    ("networking.k8s.io", "networkpolicies"): CHANGE,
    ("policy", "poddisruptionbudgets"): CHANGE,
}
INGRESS = ("networking.k8s.io", "ingresses")
GATEWAY = ("gateway.networking.k8s.io", "httproutes")
SCALING = ("autoscaling", "horizontalpodautoscalers")
MONITOR = ("monitoring.coreos.com", "podmonitors")


def problems(cluster: Cluster, place: Place) -> list[str]:
    """Return each kind of object that the user may not handle, a line each, with the verbs."""
    if cluster.allowed("*", "*", "*"):
        return []
    some = ((INGRESS, place.ingress), (GATEWAY, place.gateway), (SCALING, place.scaling))
    used = [kind for kind, wanted in (*some, (MONITOR, place.podmonitor)) if wanted]
    needed = NEEDED | dict.fromkeys(used, CHANGE)
    asked = [(*kind, verb) for kind, verbs in needed.items() for verb in verbs]
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda it: _allowed(cluster, *it), asked)]
    lacking = [each for each, allowed in zip(asked, answers, strict=True) if not allowed]
    return [*_lines(cluster, lacking)]


def _allowed(cluster: Cluster, group: str, resource: str, verb: str) -> bool:
    name, _, part = resource.partition("/")
    return cluster.allowed(verb, group, name, part)


def _lines(cluster: Cluster, lacking: list[tuple[str, str, str]]) -> Iterator[str]:
    for kind in dict.fromkeys(each[:2] for each in lacking):
        verbs = ", ".join(each[2] for each in lacking if each[:2] == kind)
        yield (
            f"{cluster.name}: the user may not {verbs} {'.'.join(filter(None, kind[::-1]))} - "
            "bind a Role of the namespace to the user that has these verbs"
        )
