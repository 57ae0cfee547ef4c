"""Renders Compose's configuration as a stack that Swarm accepts. Pure: it asks no server."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import ExitCode, TaskError
from ...project import names
from ..base import Job
from ..stack import Stack
from . import labels, unsupported

# How the name of the stack ends that a stack's jobs are in.
JOBS = "_jobs"
# How many digits stand for a config's content in its name.
MARK = 12


def render(config: Mapping[str, Any], name: str, image: str, secrets: Mapping[str, str]) -> Stack:
    """Return the stack of what `docker compose config` prints.

    Args:
        image: the app's image, by digest.
        secrets: for each secret the name of its newest version.
    Raises TaskError, one line a problem, for what cannot be deployed.
    """
    problems = [*unsupported.problems(config, secrets), *_too_long(config, name)]
    if "@sha256:" not in image:
        problems.append(f"image {image}: a tag may move; give a digest")
    if problems:
        raise TaskError("\ninv: ".join(problems), "correct compose/server.yml", ExitCode.REFUSED)
    configs, known = {}, {}
    for key, each in config.get("configs", {}).items():
        text = Path(each["file"]).read_text("utf-8")
        version = f"{name}_{key}_{hashlib.sha256(text.encode()).hexdigest()[:MARK]}"
        configs[version], known[key] = text, {"external": True, "name": version}
    networks = config.get("networks", {}).items()
    # Those too that only a job gets.
    stored = {
        key: each for key, each in secrets.items() if each or key in config.get("secrets", {})
    }
    content = {
        "version": "3.12",
        "services": {key: _service(each, name) for key, each in config["services"].items()},
        "networks": {key: _network(each or {}) for key, each in networks},
        "volumes": config.get("volumes", {}),
        "configs": known,
        "secrets": {key: {"external": True, "name": each} for key, each in stored.items()},
    }
    return Stack(name, image, content, configs)


def _network(network: Mapping[str, Any]) -> dict[str, Any]:
    # Docker takes an option that is empty for one that is set.
    options = {k: v for k, v in (network.get("driver_opts") or {}).items() if v}
    return {k: v for k, v in {**network, "driver_opts": options}.items() if v}


def _too_long(config: Mapping[str, Any], stack: str) -> Iterator[str]:
    """Give the names that are too long; those of secrets are checked when settings are read."""
    made = [("service", f"{stack}_{key}") for key in config["services"]]
    made += [("config", f"{stack}_{key}_{'0' * MARK}") for key in config.get("configs", {})]
    made += [("network", f"{stack}_{key}") for key in config.get("networks", {})]
    yield from filter(None, (names.too_long(kind, name) for kind, name in made))


def _service(service: Mapping[str, Any], stack: str) -> dict[str, Any]:
    made = {k: v for k, v in service.items() if k in unsupported.DONE and v is not None}
    # Unset and empty mean the same to everything here, and Swarm knows no null.
    environment = {k: _text(v) for k, v in service.get("environment", {}).items()}
    made["environment"] = {k: v for k, v in environment.items() if v != ""}
    made["volumes"] = unsupported.mounts(service)
    if made.get("ports"):
        made["ports"] = [{**each, "published": int(each["published"])} for each in made["ports"]]
    for kind in {"secrets", "configs"} & {*made}:
        made[kind] = [_mode(use) for use in made[kind]]
    made["deploy"] = copy.deepcopy(dict(service.get("deploy") or {}))
    placement = made["deploy"].setdefault("placement", {})
    placement["constraints"] = labels.placed(stack, labels.of_service(made))
    for part in made["deploy"].get("resources", {}).values():
        if "cpus" in part:
            part["cpus"] = str(part["cpus"])
    return made


def _mode(use: Mapping[str, Any]) -> dict[str, Any]:
    """Return the use of a secret with its mode as a number: Compose prints "0400"."""
    mode = use.get("mode")
    return {**use, "mode": int(mode, 8)} if isinstance(mode, str) else {**use}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def render_jobs(stack: Stack, jobs: Sequence[Job]) -> Stack:
    """Return the stack of jobs.

    They are ordinary services with a restart policy of none: Swarm's own jobs run again whenever a
    manager that led before leads again (https://github.com/moby/moby/issues/53632).
    """
    services = {job.name: _job(stack, job) for job in jobs}
    network = {"external": True, "name": stack.content["networks"]["default"]["name"]}
    content = {"version": "3.12", "services": services, "networks": {"default": network}}
    for kind in ("secrets", "configs", "volumes"):
        uses = [use.get("source") for made in services.values() for use in made.get(kind, [])]
        content[kind] = {
            name: {"external": True, "name": entry["name"]}
            for name, entry in stack.content.get(kind, {}).items()
            if name in uses
        }
    return Stack(f"{stack.name}{JOBS}", stack.image, content)


def _job(stack: Stack, job: Job) -> dict[str, Any]:
    made = copy.deepcopy(stack.services[stack.ours[0]]) | dict(job.overrides)
    made["command"] = [word.replace("$", "$$") for word in job.command]
    made["healthcheck"] = {"disable": True}
    made["networks"] = {"default": None}
    deploy = {key: made["deploy"][key] for key in ("resources",) if key in made["deploy"]}
    # What was recorded before the servers had labels runs anywhere.
    if (own := labels.constraint(stack.name)) in labels.of_service(made):
        deploy["placement"] = {"constraints": [own]}
    made["deploy"] = job.overrides.get("deploy", deploy) | {
        "mode": "global" if job.everywhere else "replicated",
        "restart_policy": {"condition": "none"},
        "endpoint_mode": "dnsrr",
    }
    return made
