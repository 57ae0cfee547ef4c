"""What would make a deploy fail: its ports, its image, its secrets, what a release has lost."""

from __future__ import annotations

from collections import Counter

from ..environments.connection import Target
from ..environments.records import Record
from ..images import promotion
from ..images.promotion import Candidate
from ..orchestrators.stack import Stack
from ..orchestrators.status import Ports


def conflicts(stack: Stack, ports: Ports) -> list[str]:
    """Return a line for each port that others have, or that the stack publishes twice."""
    wanted = Counter(
        f"{port['published']}/{port.get('protocol', 'tcp')}"
        for service in stack.services.values()
        for port in service.get("ports", [])
    )
    hint = "choose another in `values` of the environment"
    found = [f"port {port} is published twice - {hint}" for port, n in wanted.items() if n > 1]
    return found + [
        f"port {port} of {ports.node} is taken by {name} - {hint}, or stop that"
        for port in wanted
        for name, taken in ports.taken.items()
        if name != stack.name and port in taken
    ]


def untested(target: Target, image: Candidate | None, force: str) -> list[str]:
    """Return a line if an image is not tested, unless there is a reason to deploy it so."""
    if not image or force or promotion.admitted(target.registry, image):
        return []
    digest = target.registry.image.at(image.manifest.digest)
    return [f'{image} is not tested - inv test --image={digest}, or --force "reason"']


def secrets(target: Target) -> list[str]:
    """Return a line for each secret that is missing."""
    try:
        known = target.orchestrator.secrets()
    except Exception:
        # Servers without a cluster have none, and that is a problem of its own.
        return []
    missing = [name for name in target.settings.deploy.secrets if name not in known]
    hint = f"inv secrets.set --env={target.name}"
    every = " (or --random, for all that are missing)" if len(missing) > 1 else ""
    return [f"secret {name} is missing - {hint} --name={name}{every}" for name in missing]


def gone(target: Target, goal: Record, wanted: Stack) -> list[str]:
    """Return what a record needs and is gone."""
    missing = target.orchestrator.missing(wanted)
    found = [f"{name} of release {goal.number} is gone" for name in missing]
    if not target.registry.digest(goal.digest):
        found.insert(0, f"the image of release {goal.number} is gone: {goal.image}")
    return found
