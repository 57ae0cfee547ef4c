"""The probes of a container, from its health check."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...project import contract
from .units import plain, seconds

# The label of a service that answers over HTTP: the path that says whether it is ready
# (compose/kubernetes.yml).
READY = "deploy.ready"
# The role of the app's check that asks whether it is alive, and no request (docker/healthcheck).
HEARTBEAT = "live"
# What Kubernetes does not read of an image: the app's own check, and its times (Dockerfile).
TIMES = {"interval": "10s", "timeout": "5s", "start_period": "60s", "start_interval": "1s"}
RETRIES = 3


def probes(service: Mapping[str, Any], own: bool) -> dict[str, Any]:
    """Return the probes of a container.

    It starts once it is ready; then it need only listen, so that neither a database that is away
    nor many slow requests take a replica out of use. The node asks that, and starts no process for
    it; but a replica is ended (liveness) for its heartbeat alone. What keeps data is never ended
    for being slow.

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
    beats: dict[str, Any] = {"exec": {"command": test}}
    ready = listens = beats
    labels = service.get("deploy", {}).get("labels", {})
    if own and READY in labels:
        ready, listens = _asked(service, labels[READY]), {"tcpSocket": {"port": contract.PORT}}
        beats = {"exec": {"command": [*test, HEARTBEAT]}}
    live = {"livenessProbe": {**beats, **steady}} if own else {}
    return {"startupProbe": {**ready, **start}, "readinessProbe": {**listens, **steady}, **live}


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
