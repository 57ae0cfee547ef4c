"""Renders Compose's configuration as a stack that Swarm accepts. Pure: it asks no server."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ...project import names
from .. import rendering
from ..base import Job
from ..stack import Stack
from . import labels, unsupported

# How the name of the stack ends that a stack's jobs are in.
JOBS = "_jobs"


def render(config: Mapping[str, Any], name: str, image: str, secrets: Mapping[str, str]) -> Stack:
    """Return the stack of what `docker compose config` prints; see rendering.rendered."""
    problems = [*unsupported.problems(config), *_too_long(config, name)]
    service = partial(_service, name)
    made = rendering.rendered(config, name, image, secrets, service, problems)
    return replace(made, content={"version": "3.12", **made.content})


def _too_long(config: Mapping[str, Any], stack: str) -> Iterator[str]:
    """Give the names that are too long; those of secrets are checked when settings are read."""
    made = [("service", f"{stack}_{key}") for key in config["services"]]
    made += [
        ("config", f"{stack}_{key}_{'0' * rendering.MARK}") for key in config.get("configs", {})
    ]
    made += [("network", f"{stack}_{key}") for key in config.get("networks", {})]
    yield from filter(None, (names.too_long(kind, name) for kind, name in made))


def _service(stack: str, service: Mapping[str, Any]) -> dict[str, Any]:
    made = rendering.plain(service, unsupported.DONE.__contains__)
    made["volumes"] = rendering.mounts(service)
    made["deploy"] = copy.deepcopy(dict(service.get("deploy") or {}))
    placement = made["deploy"].setdefault("placement", {})
    placement["constraints"] = labels.placed(stack, labels.of_service(made))
    for part in made["deploy"].get("resources", {}).values():
        if "cpus" in part:
            part["cpus"] = str(part["cpus"])
    return made


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
    made["healthcheck"], made["logging"] = {"disable": True}, rendering.JOB_LOG
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
