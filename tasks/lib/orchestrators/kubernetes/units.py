"""Compose's words for times, sizes and commands, as Kubernetes has them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def seconds(time: str) -> int:
    """Return a time such as 1m30s in whole seconds, at least one."""
    parts = re.findall(r"([\d.]+)(h|ms|m|us|ns|s)", time)
    return max(1, math.ceil(sum(float(number) * SECONDS[unit] for number, unit in parts)))


def resources(deploy: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a container may have, and what is reserved for it: its memory in any case.

    A limit of processes has no place in a pod: it is the kubelet's setting.
    """
    given = deploy.get("resources", {})
    limits, reserved = (_amounts(given.get(key) or {}) for key in ("limits", "reservations"))
    requests = {key: limits[key] for key in ("memory",) if key in limits} | reserved
    return {k: v for k, v in (("limits", limits), ("requests", requests)) if v}


def _amounts(given: Mapping[str, Any]) -> dict[str, str]:
    found = {"cpu": given.get("cpus"), "memory": given.get("memory")}
    return {key: str(value) for key, value in found.items() if value}


def plain(words: Sequence[str]) -> list[str]:
    """Return a command without the escapes of Compose: $$ stands for $."""
    return [word.replace("$$", "$") for word in words]
