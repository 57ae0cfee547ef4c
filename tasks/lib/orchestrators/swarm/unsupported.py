"""What a Compose file says and a stack cannot do: refused, never left out in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..rendering import mounts

# The keys of a service that `docker stack deploy` does as they are written. Its reference:
# https://docs.docker.com/reference/cli/docker/stack/deploy/
DONE = {
    *("cap_add", "cap_drop", "command", "configs", "credential_spec", "deploy", "dns"),
    *("dns_search", "entrypoint", "environment", "extra_hosts", "healthcheck", "hostname"),
    *("image", "init", "isolation", "labels", "logging", "networks", "ports", "read_only"),
    *("secrets", "stdin_open", "stop_grace_period", "stop_signal", "sysctls", "tty"),
    *("ulimits", "user", "volumes", "working_dir"),
}
# Those that rendering translates, and those that mean nothing on a server: an image is there by its
# digest, a deploy starts what the app needs first, and all ports are open on the stack's network.
TRANSLATED = {"tmpfs"}
NEEDLESS = {"attach", "build", "depends_on", "develop", "expose", "profiles", "pull_policy"}
# What to write instead of other keys.
INSTEAD = {
    "cpus": "say it under deploy.resources",
    "mem_limit": "say it under deploy.resources",
    "mem_reservation": "say it under deploy.resources",
    "pids_limit": "say it under deploy.resources",
    "platform": "say it under deploy.placement",
    "restart": "say it under deploy.restart_policy",
    "scale": "say it as deploy.replicas",
    "security_opt": "set it in the servers' daemon.json, and `!reset []` here",
}
ELSE = "a stack cannot do it"


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what Swarm cannot do as it is written, one line each."""
    for name, service in config["services"].items():
        yield from (f"services.{name}.{problem}" for problem in _service(service))


def _service(service: Mapping[str, Any]) -> Iterator[str]:
    said = {key for key, value in service.items() if value not in (None, [], {}, "", False)}
    for key in sorted(said - DONE - TRANSLATED - NEEDLESS):
        yield f"{key}: {INSTEAD.get(key, ELSE)}"
    for port in service.get("ports") or []:
        if port.get("mode") != "host":
            yield f"ports: {port['target']} needs mode: host"
    if service.get("deploy", {}).get("endpoint_mode") != "dnsrr":
        yield "deploy.endpoint_mode: must be dnsrr"
    for name, network in (service.get("networks") or {}).items():
        for key in sorted({*(network or {})} - {"aliases"}):
            yield f"networks.{name}.{key}: {ELSE}"
    for mount in mounts(service):
        yield from _mount(mount)


def _mount(mount: Mapping[str, Any]) -> Iterator[str]:
    target, options = mount["target"], mount.get("tmpfs") or {}
    if mount["type"] == "bind":
        yield f"volumes: {mount.get('source')} is a folder of the server; use a named volume"
    if mount["type"] == "tmpfs" and not options.get("size"):
        yield f"tmpfs: {target} counts as memory; say how much, as in {target}:size=64m"
    for key in sorted({*options} - {"size"}):
        yield f"tmpfs: {target}:{key}: {ELSE}"
