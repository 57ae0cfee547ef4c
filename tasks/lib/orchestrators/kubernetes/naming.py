"""What the objects of a stack are called in its namespace, and their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# Kubernetes' own recommended labels: the stack, the service, and what made the object.
STACK = "app.kubernetes.io/instance"
SERVICE = "app.kubernetes.io/component"
MANAGER = "app.kubernetes.io/managed-by"
# The name that server-side apply knows the fields of all objects by.
OURS = "inv"
# Labels of our own: the name of a job; the secret or config that an object is a version of, and
# that version as stacks name it.
JOB, KIND, VERSION = "deploy.job", "deploy.kind", "deploy.version"
# The type of the Secret with the audit log: no part of a stack, and of nobody else.
AUDIT = "deploy/audit"
# The longest name of a service or a label's value.
LONGEST = 63


def labels(stack: str, service: str = "") -> dict[str, str]:
    """Return the labels of a stack's object. They select pods, and so never change."""
    return {STACK: stack, **({SERVICE: service} if service else {})}


def metadata(name: str, stack: str, service: str = "", **more: Any) -> dict[str, Any]:
    """Return an object's metadata."""
    known = {**labels(stack, service), MANAGER: OURS, **more.pop("labels", {})}
    return {"name": name, "labels": dict(sorted(known.items())), **more}


def version(stack: str, name: str) -> str:
    """Return what the object is called that has a version of a secret or a config."""
    return name.removeprefix(f"{stack}_").lower().replace("_", "-")


def problems(services: Iterable[str], volumes: Mapping[str, Any]) -> list[str]:
    """Return the names that Kubernetes does not take, a line each."""
    named = [("services", name) for name in services] + [("volumes", name) for name in volumes]
    return [
        f"{kind}.{name}: use up to {LONGEST} of a-z, 0-9 and hyphens, a letter first"
        for kind, name in named
        if not _is_label(name)
    ]


def _is_label(name: str) -> bool:
    plain = name.replace("-", "")
    good = plain.isascii() and plain.isalnum() and name == name.lower() and len(name) <= LONGEST
    return good and name[0].isalpha() and name[-1] != "-"
