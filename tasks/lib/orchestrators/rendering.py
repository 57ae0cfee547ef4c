"""What every orchestrator on Docker makes of Compose's configuration. Pure: it asks no server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import ExitCode, TaskError
from .stack import Stack

# Where one-off jobs log: their output is read by a task, wherever the app's goes.
JOB_LOG = {"driver": "local"}
# How many digits stand for a config's content in its name.
MARK = 12


def rendered(
    config: Mapping[str, Any],
    name: str,
    image: str,
    secrets: Mapping[str, str],
    service: Callable[[Mapping[str, Any]], dict[str, Any]],
    problems: Iterable[str],
) -> Stack:
    """Return the stack of what `docker compose config` prints.

    Args:
        image: the app's image, by digest; empty for a stack without the app.
        secrets: for each secret the name of its newest version.
        service: makes a service of the stack from Compose's.
        problems: what the orchestrator cannot do.
    Raises TaskError, one line a problem, for what cannot be deployed.
    """
    if found := [*problems, *_problems(config, image, secrets)]:
        raise TaskError("\ninv: ".join(found), "correct compose/server.yml", ExitCode.REFUSED)
    versions, used = configs(config, name), config.get("secrets", {})
    networks = config.get("networks", {}).items()
    # Those too that only a job gets.
    stored = {key: each for key, each in secrets.items() if each or key in used}
    content = {
        "services": {key: service(each) for key, each in config["services"].items()},
        "networks": {key: _network(each or {}) for key, each in networks},
        "volumes": config.get("volumes", {}),
        "configs": {key: {"external": True, "name": each} for key, (each, _) in versions.items()},
        "secrets": {key: {"external": True, "name": each} for key, each in stored.items()},
    }
    return Stack(name, image, content, dict(versions.values()))


def _network(network: Mapping[str, Any]) -> dict[str, Any]:
    # Docker takes an option that is empty for one that is set.
    options = {k: v for k, v in (network.get("driver_opts") or {}).items() if v}
    return {k: v for k, v in {**network, "driver_opts": options}.items() if v}


def _problems(config: Mapping[str, Any], image: str, secrets: Mapping[str, str]) -> Iterator[str]:
    """Yield what no orchestrator on Docker can deploy, one line each."""
    for key, config_file in config.get("configs", {}).items():
        if not config_file.get("file"):
            yield f"configs.{key}: needs a file"
    for key in sorted(set(config.get("secrets", {})) - set(secrets)):
        yield f"secrets.{key}: not in deploy.secrets of invoke.yaml"
    if image and "@sha256:" not in image:
        yield f"image {image}: a tag may move; give a digest"


def configs(config: Mapping[str, Any], stack: str) -> dict[str, tuple[str, str]]:
    """Return for each config of a project the name of its version, and its text."""
    found = {}
    for key, each in config.get("configs", {}).items():
        text = Path(each["file"]).read_text("utf-8")
        mark = hashlib.sha256(text.encode()).hexdigest()[:MARK]
        found[key] = f"{stack}_{key}_{mark}", text
    return found


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """Return a service's variables; unset and empty mean the same to everything here."""
    known = {key: text(value) for key, value in service.get("environment", {}).items()}
    return {key: value for key, value in known.items() if value != ""}


def plain(service: Mapping[str, Any], keys: Callable[[str], bool]) -> dict[str, Any]:
    """Return those keys of a service that an orchestrator does as they are, with plain values."""
    made = {key: value for key, value in service.items() if keys(key) and value is not None}
    made["environment"] = environment(service)
    if made.get("ports"):
        made["ports"] = [{**each, "published": int(each["published"])} for each in made["ports"]]
    for kind in {"secrets", "configs"} & {*made}:
        made[kind] = [mode(use) for use in made[kind]]
    return made


def mode(use: Mapping[str, Any]) -> dict[str, Any]:
    """Return the use of a secret with its mode as a number: Compose prints "0400"."""
    given = use.get("mode")
    return {**use, "mode": int(given, 8)} if isinstance(given, str) else {**use}


def text(value: Any) -> str:
    """Return a value as the text that a variable has."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def mounts(service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the volumes of a service, those of its key tmpfs too; sizes are in bytes."""
    found = [*(service.get("volumes") or []), *map(_tmpfs, service.get("tmpfs") or [])]
    return [_sized(mount) if mount["type"] == "tmpfs" else mount for mount in found]


def _tmpfs(text: str) -> dict[str, Any]:
    target, _, rest = text.partition(":")
    options = dict(option.partition("=")[::2] for option in rest.split(",") if option)
    return {"type": "tmpfs", "target": target, "tmpfs": options}


def _sized(mount: Mapping[str, Any]) -> dict[str, Any]:
    options = mount.get("tmpfs") or {}
    size = re.fullmatch(r"(\d+)([bkmg]?)b?", str(options.get("size", "")).lower())
    number = int(size[1]) * 1024 ** "bkmg".index(size[2] or "b") if size else 0
    return {**mount, "tmpfs": {**options, "size": number}}
