"""The proxy's configuration, validated by the image that will run it before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..docker.cli import DockerError
from ..environments import running
from ..environments.connection import Target
from ..errors import TaskError
from ..orchestrators.stack import Stack

# As the proxy itself reads it; $1 is the text. Only what is wrong is printed, without Caddy's JSON.
VALIDATE = (
    'cd /tmp; printf %s "$1" >Caddyfile; '
    "output=$(caddy validate --config Caddyfile 2>&1) && exit; status=$?; "
    """echo "$output" | sed 's/^{.*"msg":"//; s/"}$//'; exit "$status\""""
)


def before(target: Target) -> Stack | None:
    """Return the stack that runs; None if that is not known."""
    with suppress(TaskError):
        return running.look(target).stack
    return None


def problems(target: Target, stack: Stack, old: Stack | None) -> list[str]:
    """Return what is wrong with the configuration, if that or the proxy's image is new."""
    return [line for name in changed(stack, old) for line in _problem(target, stack, name)]


def _problem(target: Target, stack: Stack, name: str) -> list[str]:
    service = stack.services[name]
    try:
        command = ["sh", "-c", VALIDATE, "sh", caddyfile(stack, service)]
        target.orchestrator.try_out(service, command)
    except DockerError as error:
        return [f"{name}: {error.reason} - correct its configuration or its image"]
    return []


def changed(stack: Stack, old: Stack | None) -> list[str]:
    """Return the services with a Caddyfile that run another configuration or image, or none yet."""
    new = [name for name, service in stack.services.items() if caddyfile(stack, service)]
    return [name for name in new if old is None or _parts(stack, name) != _parts(old, name)]


def caddyfile(stack: Stack, service: Mapping[str, Any]) -> str:
    """Return the text of a service's Caddyfile; empty without one."""
    uses = [
        use for use in service.get("configs", []) if use.get("target", "").endswith("Caddyfile")
    ]
    names = [stack.content["configs"][use["source"]]["name"] for use in uses]
    return next((stack.configs.get(name, "") for name in names), "")


def _parts(stack: Stack, name: str) -> tuple[Any, ...]:
    """Return what a proxy's configuration depends on."""
    service, known = stack.services.get(name, {}), stack.content.get("configs", {})
    configs = [known[use["source"]]["name"] for use in service.get("configs", [])]
    return service.get("image"), service.get("environment"), configs
