"""What tests know of Kubernetes: its Pod Security profile, its objects' types, our own stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.lib.orchestrators.kubernetes import rendering
from tasks.lib.orchestrators.stack import Stack
from tests.testbed import compose_files


def own_stack(*more: str, **values: str) -> Stack:
    """The stack of the project's own Compose files on a cluster, with more of them."""
    return compose_files.own_stack(rendering.render, "kubernetes", *more, **values)


def pods(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The specs of the pods that objects make."""
    for each in objects:
        if template := each.get("spec", {}).get("template"):
            yield template["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def complaints(pod: dict[str, Any]) -> list[str]:
    """What the profile "restricted" refuses of a pod:

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    context = pod.get("securityContext", {})
    if not context.get("runAsNonRoot") or context.get("runAsUser") == 0:
        found.append("root")
    if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        found.append("seccomp")
    safe = {"net.ipv4.ip_unprivileged_port_start"}
    found += [each["name"] for each in context.get("sysctls", []) if each["name"] not in safe]
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    found += [each["name"] for each in pod["volumes"] if not {*each} - {"name"} <= allowed]
    for each in containers(pod):
        own = each["securityContext"]
        good = own["allowPrivilegeEscalation"] is False
        good &= own["capabilities"]["drop"] == ["ALL"]
        good &= {*own["capabilities"].get("add", [])} <= {"NET_BIND_SERVICE"}
        found += [] if good and not own.get("privileged") else [each["name"]]
    return found


def admits(policies: list[dict[str, Any]], pod: dict[str, str], port: int, namespace: str) -> bool:
    """Whether NetworkPolicies let a pod of another namespace, of any labels, reach a pod's port.

    Args:
        pod: its labels; one that no policy chooses is reached by everybody.
    """
    specs = [each["spec"] for each in policies]
    found = [spec for spec in specs if chosen(spec["podSelector"], pod)]
    rules = [rule for spec in found for rule in spec.get("ingress") or []]
    return not found or any(_lets_in(rule, port, namespace) for rule in rules)


def chosen(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector chooses what has these labels."""
    named, among = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    assert {each["operator"] for each in among} <= {"In"}
    return named.items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in among
    )


def _lets_in(rule: dict[str, Any], port: int, namespace: str) -> bool:
    ports, peers = rule.get("ports"), rule.get("from")
    known = {"kubernetes.io/metadata.name": namespace}
    # Without a namespace, pods of one's own are meant.
    named = (each for each in peers or [] if "namespaceSelector" in each)
    who = not peers or any(chosen(each["namespaceSelector"], known) for each in named)
    return who and (not ports or port in [each["port"] for each in ports])


def unknown(made: dict[str, Any]) -> list[str]:
    """The fields of an object that its type does not have; a cluster would refuse them."""
    from lightkube import codecs

    return sorted({*_fields(made)} - {*_fields(codecs.from_dict(made).to_dict())})


def _fields(part: Any, path: str = "") -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            yield f"{path}.{key}"
            yield from _fields(value, f"{path}.{key}")
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from _fields(value, f"{path}[{number}]")
