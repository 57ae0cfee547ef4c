"""Compose's own rendering of its files as a stack that Swarm takes, pinned. It asks nobody."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import ExitCode, TaskError
from ...registry.reference import DIGEST
from .stack import Stack

# What `docker stack deploy` does not take or would only warn of. Its reference:
# https://docs.docker.com/reference/cli/docker/stack/deploy/
DROPPED = {
    "build",
    "container_name",
    "depends_on",
    "develop",
    "links",
    "platform",
    "privileged",
} | {
    "profiles",
    "pull_policy",
    "restart",
    "scale",
    "security_opt",
    "tmpfs",
}
REFUSED_KEYS = {"cpus", "mem_limit", "mem_reservation", "pids_limit"}


def render(config: Mapping[str, Any], name: str, image: str, secrets: Mapping[str, str]) -> Stack:
    """Compose's own rendering (`docker compose config`) as a stack.

    Args:
        image: the app's image; it must be given by its digest.
        secrets: for each secret the name of its version in the Swarm.
    Raises TaskError, with every problem a line, for what cannot be deployed.
    """
    problems = [*_problems(config, secrets)]
    if not DIGEST.fullmatch(image.rpartition("@")[2]):
        problems.append(f"image {image}: a tag may move; give a digest")
    if problems:
        raise TaskError("\ninv: ".join(problems), "mend compose/server.yml", ExitCode.REFUSED)
    configs, known = {}, {}
    for key, each in config.get("configs", {}).items():
        text = Path(each["file"]).read_text("utf-8")
        version = f"{name}_{key}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        configs[version], known[key] = text, {"external": True, "name": version}
    content = {
        "version": "3.12",
        "services": {key: _service(each) for key, each in config["services"].items()},
        "networks": {
            key: {k: v for k, v in (each or {}).items() if v}
            for key, each in config.get("networks", {}).items()
        },
        "volumes": config.get("volumes", {}),
        "configs": known,
        "secrets": {
            key: {"external": True, "name": secrets[key]} for key in config.get("secrets", {})
        },
    }
    return Stack(name, image, content, configs)


def _problems(config: Mapping[str, Any], secrets: Mapping[str, str]) -> list[str]:
    """What of a Compose project a Swarm cannot do as it is written."""
    found = []
    for name, service in config["services"].items():
        where = f"services.{name}"
        found += [
            f"{where}.{key}: say it under deploy.resources" for key in REFUSED_KEYS & {*service}
        ]
        found += [
            f"{where}.ports: {each['target']} needs mode: host"
            for each in service.get("ports", [])
            if each.get("mode") != "host"
        ]
        if service.get("deploy", {}).get("endpoint_mode") != "dnsrr":
            found.append(f"{where}.deploy.endpoint_mode: must be dnsrr")
        found += [
            f"{where}.volumes: {each.get('source')} is a folder of the server; use a named volume"
            for each in service.get("volumes", [])
            if each["type"] == "bind"
        ]
    found += [
        f"configs.{key}: needs a file"
        for key, each in config.get("configs", {}).items()
        if not each.get("file")
    ]
    missing = sorted(set(config.get("secrets", {})) - set(secrets))
    return found + [f"secrets.{key}: not in deploy.secrets of invoke.yaml" for key in missing]


def _service(service: Mapping[str, Any]) -> dict[str, Any]:
    made = {k: v for k, v in service.items() if k not in DROPPED and v is not None}
    # Unset and empty mean the same to everything here, and Swarm knows no null.
    environment = {k: _text(v) for k, v in service.get("environment", {}).items()}
    made["environment"] = {k: v for k, v in environment.items() if v != ""}
    tmpfs = [{"type": "tmpfs", "target": each} for each in service.get("tmpfs") or []]
    made["volumes"] = [*(service.get("volumes") or []), *tmpfs]
    if made.get("ports"):
        made["ports"] = [{**each, "published": int(each["published"])} for each in made["ports"]]
    made["deploy"] = copy.deepcopy(dict(service.get("deploy") or {}))
    for part in made["deploy"].get("resources", {}).values():
        if "cpus" in part:
            part["cpus"] = str(part["cpus"])
    return made


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
