"""Renders Compose's configuration as a stack for Kubernetes. Pure: it asks no cluster."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from .. import rendering
from ..rendering import mounts
from ..stack import Stack
from . import naming
from .mounts import SECRETS
from .place import Place
from .pods import BIND, user

# The keys of a service that a pod has, and those that mean nothing in a cluster: its images are
# there by their digests, its pods start when they can, and all of them reach each other.
DONE = {
    *("cap_add", "cap_drop", "command", "configs", "deploy", "entrypoint", "environment"),
    *("healthcheck", "image", "ports", "read_only", "secrets", "stop_grace_period", "tmpfs"),
    *("user", "volumes", "working_dir"),
}
NEEDLESS = {
    *("attach", "build", "depends_on", "develop", "expose", "init", "logging", "networks"),
    *("profiles", "pull_policy", "restart", "stop_signal"),
}
# The key of a stack with its place.
PLACE = "kubernetes"
ELSE = "a pod cannot do it"


def render(config: Mapping[str, Any], name: str, image: str, secrets: Mapping[str, str]) -> Stack:
    """Return the stack of what `docker compose config` prints; see rendering.rendered."""
    return rendering.rendered(config, name, image, secrets, _service, problems(config))


def placed(stack: Stack, place: Place) -> Stack:
    """Return a stack with what leads to it, and who measures it: a change of that is deployed."""
    known = {key: each for key, each in msgspec.to_builtins(place).items() if each}
    return replace(stack, content={**stack.content, PLACE: known})


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what no pod can do as it is written, one line each."""
    yield from naming.problems(config["services"], config.get("volumes", {}))
    for name, service in config["services"].items():
        yield from (f"services.{name}.{problem}" for problem in _problems(service))


def _problems(service: Mapping[str, Any]) -> Iterator[str]:
    said = {key for key, value in service.items() if value not in (None, [], {}, "", False)}
    yield from (f"{key}: {ELSE}" for key in sorted(said - DONE - NEEDLESS))
    if not user(service):
        yield "user: no pod may be root's; give the number of another user"
    for capability in service.get("cap_add") or []:
        if capability not in (BIND, *OF_ROOT):
            yield f"cap_add: no pod may have {capability}"
    for mount in mounts(service):
        if mount["type"] not in ("volume", "tmpfs"):
            yield f"volumes: {mount.get('source')} is a folder of a server; use a named volume"
    for use in service.get("secrets") or []:
        if not (target := use.get("target") or "").startswith(SECRETS) and "/" in target:
            yield f"secrets.{use['source']}: its file must be in {SECRETS}"


# What an image's entrypoint uses to become the user that its pod has from the start.
OF_ROOT = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")


def _service(service: Mapping[str, Any]) -> dict[str, Any]:
    made = rendering.plain(service, DONE.__contains__)
    deploy = service.get("deploy") or {}
    kept = ("replicas", "resources", "labels", "update_config")
    made["deploy"] = {key: copy.deepcopy(deploy[key]) for key in kept if key in deploy}
    return made
