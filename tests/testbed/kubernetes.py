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
