"""The probes of a container, from its health check."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...project import contract
from .units import plain, seconds

# Labels of a service that answers over HTTP: the paths that say whether it is ready, and whether it
# is alive (compose/kubernetes.yml).
READY, LIVE = "deploy.ready", "deploy.live"
# The role of the app's check that asks whether it is alive, and no request (docker/healthcheck).
HEARTBEAT = "live"
# What Kubernetes does not read of an image: the app's own check, and its times (Dockerfile).
TIMES = {"interval": "10s", "timeout": "5s", "start_period": "60s", "start_interval": "1s"}
RETRIES = 3
# Seconds that a busy replica may take to say that it is alive: its threads serve users first.
PATIENT = 10


def probes(service: Mapping[str, Any], own: bool) -> dict[str, Any]:
    """Return the probes of a container.

    It starts once it is ready; then it need only be alive, so that a database that is away takes
    no replica out of use. What answers over HTTP is asked so by the node, which starts no process;
    but a replica is ended (liveness) for its heartbeat alone, which many requests do not stop. What
    keeps data is never ended for being slow.

    Args:
        own: it is of the app's image.
    """
    check = service.get("healthcheck") or {}
    if check.get("disable") or not (test := _test(check, own)):
        return {}
    times = {key: seconds(check.get(key) or default) for key, default in TIMES.items()}
    retries = int(check.get("retries") or RETRIES)
    late = math.ceil(
        (times["start_period"] + retries * times["interval"]) / times["start_interval"]
    )
    limit = {"timeoutSeconds": times["timeout"]}
    steady = {**limit, "periodSeconds": times["interval"], "failureThreshold": retries}
    start = {**limit, "periodSeconds": times["start_interval"], "failureThreshold": late}
    ready = alive = beats = {"exec": {"command": test}}
    paths, serves = service.get("deploy", {}).get("labels", {}), dict(steady)
    if own and READY in paths:
        ready, alive = _asked(service, paths[READY]), _asked(service, paths[LIVE])
        beats = {"exec": {"command": [*test, HEARTBEAT]}}
        serves["timeoutSeconds"] = max(times["timeout"], PATIENT)
    live = {"livenessProbe": {**beats, **steady}} if own else {}
    return {"startupProbe": {**ready, **start}, "readinessProbe": {**alive, **serves}, **live}


def _asked(service: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the request for a path of a service, as the proxy sends those for its site."""
    url = service.get("environment", {}).get("SITE_URL") or "http://localhost"
    scheme, _, host = url.partition("://")
    headers = {"Host": host, "X-Forwarded-Proto": scheme}
    named = [{"name": name, "value": value} for name, value in headers.items()]
    return {"httpGet": {"path": path, "port": contract.PORT, "httpHeaders": named}}


def _test(check: Mapping[str, Any], own: bool) -> list[str]:
    """Return the command of a health check; empty without one."""
    kind, *words = check.get("test") or ["", ""]
    if kind == "CMD-SHELL":
        return ["sh", "-c", *plain(words)]
    if kind == "CMD":
        return plain(words)
    return [contract.HEALTHCHECK] if own else []
