"""The pods of a stack. All of them fit the profile "restricted" of Pod Security."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...project import contract
from ..stack import Stack
from . import metrics, mounts
from .mounts import Mounted
from .naming import labels
from .probes import probes
from .units import resources, seconds

# The secret with the login to the registry; a cluster that needs none has none.
LOGIN = "registry"
GRACE = "10s"
# How the names begin of the containers that lay static files.
STATIC = "static-"
# Seconds that what serves goes on when it is stopped, until nobody sends it requests any more, and
# the label of a service that says otherwise. On servers with Docker, the app does it (WEB_DRAIN).
DRAIN, DRAINS = 5, "deploy.drain"
# Seconds that a node may be away, once that is noticed, before its pods start elsewhere.
AWAY = 20
# How many dots a name has that is asked for as it is, before it is looked for in the namespace.
DOTS = {"name": "ndots", "value": "2"}
# The label of a server with its name.
HOST = "kubernetes.io/hostname"
# A user, and a group, who are not root.
NUMBERS = re.compile(r"[1-9]\d*(:[1-9]\d*)?")
# The only capability that a container may keep; the setting lets every user bind low ports.
BIND = "NET_BIND_SERVICE"
LOW_PORTS = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}


def pod(stack: Stack, name: str, static: Sequence[str] = ()) -> dict[str, Any]:
    """Return the spec of a service's pods.

    Args:
        static: the images whose static files a pod that serves them has, the newest last.
    """
    service = stack.services[name]
    own, mounted = service["image"] == stack.image, mounts.mounted(stack, service)
    made = container(name, service, mounted) | probes(service, own)
    ports = [each["target"] for each in service.get("ports", [])]
    ports = [contract.PORT] if name == contract.APP else ports
    listens: list[dict[str, Any]] = [{"containerPort": port} for port in ports]
    if measured := stack.metrics.get(name):
        listens.append({"containerPort": measured, "name": metrics.PORT})
    if listens:
        made["ports"] = listens
    grace = seconds(service.get("stop_grace_period") or GRACE)
    if ports and (drain := int(service.get("deploy", {}).get("labels", {}).get(DRAINS, DRAIN))):
        made["lifecycle"] = {"preStop": {"sleep": {"seconds": drain}}}
        grace += drain
    return spec(service, mounted) | {
        **_laying(service, static),
        "containers": [made],
        "terminationGracePeriodSeconds": grace,
        **spread(stack, name),
        **beside(stack, service, name),
        **_leaving(service),
    }


def _leaving(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return how soon a pod leaves a node that is away, if it keeps no data: not after 300 s."""
    if mounts.kept(service):
        return {}
    away = [{"key": f"node.kubernetes.io/{state}"} for state in ("not-ready", "unreachable")]
    how = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": AWAY}
    return {"tolerations": [{**each, **how} for each in away]}


def spec(service: Mapping[str, Any], mounted: Sequence[Mounted]) -> dict[str, Any]:
    """Return what every pod is: of no rights, and without anything that it did not ask for."""
    low = [LOW_PORTS] if service.get("ports") else []
    return {
        "automountServiceAccountToken": False,
        "dnsConfig": {"options": [DOTS]},
        "enableServiceLinks": False,
        "imagePullSecrets": [{"name": LOGIN}],
        "securityContext": {
            **owner(service),
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            **({"sysctls": low} if low else {}),
        },
        "volumes": [*{each.volume["name"]: each.volume for each in mounted}.values()],
    }


def user(service: Mapping[str, Any]) -> str:
    """Return the user and group of a service's processes, as USER:GROUP; empty if it may be root.

    It is who reads its secrets, unless the service names another one.
    """
    uses = [f"{use['uid']}:{use.get('gid') or use['uid']}" for use in _owned(service)]
    given = str(service.get("user") or "") or (uses[0] if uses else "")
    number, _, group = given.partition(":")
    return f"{number}:{group or number}" if NUMBERS.fullmatch(given) else ""


def _owned(service: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [use for use in service.get("secrets", []) if int(use.get("uid") or 0)]


def owner(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user and group of a service's processes, and of the files in its volumes."""
    if not (known := user(service)):
        return {}
    number, group = map(int, known.split(":"))
    # Only a new volume is made the group's: PostgreSQL refuses a folder that a group may change.
    once = {"fsGroupChangePolicy": "OnRootMismatch"}
    return {"runAsUser": number, "runAsGroup": group, "fsGroup": group, **once}


def container(name: str, service: Mapping[str, Any], mounted: Sequence[Mounted]) -> dict[str, Any]:
    """Return a container of a service.

    Its words and variables stay as they are: Kubernetes also writes $$ for $.
    """
    capabilities: dict[str, Any] = {"drop": ["ALL"]}
    if BIND in service.get("cap_add", []):
        capabilities["add"] = [BIND]
    words = {"command": service.get("entrypoint"), "args": service.get("command")}
    variables = sorted(service.get("environment", {}).items())
    return {
        "name": name,
        "image": service["image"],
        "imagePullPolicy": "IfNotPresent",
        **{key: each for key, each in words.items() if each},
        **({"workingDir": service["working_dir"]} if service.get("working_dir") else {}),
        "env": [{"name": key, "value": value} for key, value in variables],
        "resources": resources(service.get("deploy", {})),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": capabilities,
            "readOnlyRootFilesystem": bool(service.get("read_only")),
        },
        "volumeMounts": [each.mount for each in mounted],
    }


def _laying(service: Mapping[str, Any], static: Sequence[str]) -> dict[str, Any]:
    """Return the containers that lay static files into a pod before it serves them."""
    serving = any(
        each.get("source") == contract.STATIC_FILES for each in service.get("volumes", [])
    )
    if not serving:
        return {}
    mount = {"name": contract.STATIC_FILES, "mountPath": contract.STATIC_FOLDER}
    laid = {**service, "environment": {}, "command": [contract.STATIC, contract.STATIC_FOLDER]}
    laid |= {"cap_add": [], "read_only": True, "entrypoint": None}
    return {
        "initContainers": [
            container(f"{STATIC}{number}", {**laid, "image": image}, [Mounted({}, mount)])
            for number, image in enumerate(static)
        ]
    }


def beside(stack: Stack, service: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Return the rule that a pod runs where the one does that has a volume with it.

    A volume of a cluster may be on one server at a time. The database's pod is where it is.

    Args:
        name: the service's; empty for a job.
    """
    mine = mounts.kept(service)
    order = sorted(stack.services, key=lambda it: (it != contract.DATABASE, it))
    having = [each for each in order if mine & mounts.kept(stack.services[each])]
    if not having or having[0] == name:
        return {}
    chosen = {"matchLabels": labels(stack.name, having[0])}
    rule = {"labelSelector": chosen, "topologyKey": HOST}
    need = {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}
    return {"affinity": {"podAffinity": need}}


def spread(stack: Stack, name: str) -> dict[str, Any]:
    """Return the rule that puts the replicas of one version on different nodes.

    Without the version, replicas that are about to go would count as well.
    """
    rule = {
        "maxSkew": 1,
        "topologyKey": HOST,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels(stack.name, name)},
        "matchLabelKeys": ["pod-template-hash"],
    }
    return {"topologySpreadConstraints": [rule]}
