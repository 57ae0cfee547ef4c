"""The probes of a container, from its health check."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...project import contract
from .units import plain, seconds

# What Kubernetes does not read of an image: the app's own check, and its times (Dockerfile).
TIMES = {"interval": "10s", "timeout": "5s", "start_period": "60s", "start_interval": "1s"}
RETRIES = 3


def probes(service: Mapping[str, Any], own: bool) -> dict[str, Any]:
    """Return the probes of a container.

    The app's check asks whether it is ready once, then whether it is alive, without a request: so
    it may end a replica (liveness). What keeps data is never ended for being slow.

    Args:
        own: it is of the app's image.
    """
    check = service.get("healthcheck") or {}
    if check.get("disable") or not (test := _test(check, own)):
        return {}
    times = {key: seconds(check.get(key) or default) for key, default in TIMES.items()}
    retries = int(check.get("retries") or RETRIES)
    base = {"exec": {"command": test}, "timeoutSeconds": times["timeout"]}
    late = math.ceil(
        (times["start_period"] + retries * times["interval"]) / times["start_interval"]
    )
    steady = {**base, "periodSeconds": times["interval"], "failureThreshold": retries}
    start = {**base, "periodSeconds": times["start_interval"], "failureThreshold": late}
    live = {"livenessProbe": steady} if own else {}
    return {"startupProbe": start, "readinessProbe": steady, **live}


def _test(check: Mapping[str, Any], own: bool) -> list[str]:
    """Return the command of a health check; empty without one."""
    kind, *words = check.get("test") or ["", ""]
    if kind == "CMD-SHELL":
        return ["sh", "-c", *plain(words)]
    if kind == "CMD":
        return plain(words)
    return [contract.HEALTHCHECK] if own else []
