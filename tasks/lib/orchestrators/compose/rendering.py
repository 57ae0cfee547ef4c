"""Renders Compose's configuration as a stack of one server, and parts of it for Compose. Pure."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import rendering
from ..base import Job
from ..stack import SERVICE, STACK, Stack
from .containers import CONTENT, GENERATION, NONE, replicas

# The label of a job: its name.
JOB = "deploy.job"
# Keys that mean nothing on a server: an image is there by its digest, and a deploy starts what the
# app needs first. Then those of `deploy` that are of a Swarm, or that a deploy itself decides.
NEEDLESS = {"attach", "build", "depends_on", "develop", "expose", "profiles", "pull_policy"}
NEEDLESS |= {"restart"}
OF_SWARM = {"placement", "endpoint_mode", "update_config", "rollback_config", "restart_policy"}
# Keys that would keep a second container of a service from being there, and what to write instead.
ONLY_ONE = {
    "container_name": "two releases run side by side; leave it out",
    "network_mode": "replicas of two releases need the stack's network; leave it out",
}
SECRETS = "/run/secrets/"
# Where a secret's or a config's text is in its volume.
VALUE = "value"


def render(config: Mapping[str, Any], name: str, image: str, secrets: Mapping[str, str]) -> Stack:
    """Return the stack of what `docker compose config` prints; see rendering.rendered."""
    problems = _problems(config, image)
    return rendering.rendered(config, name, image, secrets, _service, problems)


def _problems(config: Mapping[str, Any], image: str) -> Iterator[str]:
    for name, service in config["services"].items():
        for key in sorted(ONLY_ONE.keys() & {k for k, v in service.items() if v}):
            yield f"services.{name}.{key}: {ONLY_ONE[key]}"
        if service["image"] == image and service.get("ports"):
            yield f"services.{name}.ports: only one container can publish a port; let the proxy"
        for mount in service.get("volumes") or []:
            if mount["type"] == "bind":
                folder = mount.get("source")
                yield f"services.{name}.volumes: {folder} is a folder of the server; use a volume"


def _service(service: Mapping[str, Any]) -> dict[str, Any]:
    made = rendering.plain(service, lambda key: key not in NEEDLESS)
    deploy = service.get("deploy") or {}
    made["deploy"] = {k: copy.deepcopy(v) for k, v in deploy.items() if k not in OF_SWARM}
    return made


def generation(stack: Stack, names: Sequence[str], mark: str) -> dict[str, Any]:
    """Return the Compose file that makes new containers of services, beside those that are there.

    Each service is called SERVICE-MARK in it, and so are its replicas on the stack's networks. All
    of a service have its address there, and what is replaced rather than rolled its own name.
    """
    made = {}
    for name in names:
        labels = {SERVICE: name, GENERATION: mark, CONTENT: json.dumps(stack.part(name))}
        labels |= stack.services[name]["deploy"].get("labels", {})
        aliases = [address(stack.name, name), *([] if name in stack.ours else [name])]
        made[f"{name}-{mark}"] = _container(stack, stack.services[name], labels, aliases)
    return _file(stack, made)


def address(stack: str, service: str) -> str:
    """Return the name that all replicas of a service have on its networks, of any release."""
    return f"{stack}_{service}"


def jobs_file(stack: Stack, jobs: Sequence[Job], mark: str) -> dict[str, Any]:
    """Return the Compose file of one-off jobs."""
    made = {}
    for job in jobs:
        service = copy.deepcopy(stack.services[stack.ours[0]]) | dict(job.overrides)
        service["command"] = [word.replace("$", "$$") for word in job.command]
        service["healthcheck"], service["logging"] = {"disable": True}, rendering.JOB_LOG
        limits = service.get("deploy", {}).get("resources")
        service["deploy"] = {"resources": limits} if limits else {}
        made[f"job-{job.name}-{mark}"] = _container(stack, service, {JOB: job.name}, [])
    return _file(stack, made)


def _file(stack: Stack, services: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        each["name"]
        for kind in ("networks", "volumes", "secrets", "configs")
        for each in stack.content.get(kind, {}).values()
    }
    used = {
        mount["source"]
        for service in services.values()
        for mount in service["volumes"]
        if mount["type"] == "volume" and mount.get("source")
    }
    networks = stack.content.get("networks", {})
    return {
        "name": stack.name,
        "services": dict(services),
        "networks": {k: {"external": True, "name": each["name"]} for k, each in networks.items()},
        "volumes": {each: {"external": True, "name": each} for each in sorted(used & names)},
    }


def _container(
    stack: Stack, service: Mapping[str, Any], labels: Mapping[str, str], aliases: Sequence[str]
) -> dict[str, Any]:
    made = {k: v for k, v in service.items() if k not in ("secrets", "configs", "deploy")}
    deploy = service.get("deploy", {})
    made["deploy"] = {"replicas": replicas(service)}
    made["deploy"] |= {key: deploy[key] for key in ("resources",) if key in deploy}
    # Compose interpolates the file.
    labels = {key: each.replace("$", "$$") for key, each in labels.items()}
    made["labels"] = {**service.get("labels", {}), **labels, STACK: stack.name}
    made["restart"] = NONE
    networks = service.get("networks") or {"default": None}
    made["networks"] = {
        key: {**(each or {}), "aliases": [*(each or {}).get("aliases", []), *aliases]}
        for key, each in networks.items()
    }
    volumes = [_volume(stack, each) for each in service.get("volumes", [])]
    made["volumes"] = volumes + [mount for mount, _ in mounts(stack, service)]
    return made


def _volume(stack: Stack, mount: Mapping[str, Any]) -> dict[str, Any]:
    known = stack.content.get("volumes", {}).get(mount.get("source"))
    return {**mount, "source": known["name"]} if known else {**mount}


def mounts(
    stack: Stack, service: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], Mapping[str, Any] | None]]:
    """Yield the mounts of a service's secrets and configs, each a file of its version's volume.

    With each comes the use of a secret, whose file has the owner and the mode of that use.
    """
    for kind, folder in (("secrets", SECRETS), ("configs", "/")):
        for use in service.get(kind, []):
            target = use.get("target") or use["source"]
            file = copy_name(use) if kind == "secrets" else VALUE
            yield (
                {
                    "type": "volume",
                    "source": stack.content[kind][use["source"]]["name"],
                    "target": target if target.startswith("/") else folder + target,
                    "read_only": True,
                    "volume": {"subpath": file, "nocopy": True},
                },
                use if kind == "secrets" else None,
            )


def copy_name(use: Mapping[str, Any]) -> str:
    """Return the name of a secret's file for one use: its owner, group and mode."""
    return f"{use.get('uid', '0')}.{use.get('gid', '0')}.{use.get('mode', 0o444):o}"
