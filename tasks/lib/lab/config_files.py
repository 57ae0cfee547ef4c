"""A lab's configuration files, built from its state: for Compose, Invoke, ssh and the shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import kubernetes
from .images import REGISTRY
from .kubernetes import KUBERNETES
from .state import USER, State

HOSTKEY = "/etc/ssh/ssh_host_ed25519_key.pub"


def compose(state: State, project: str, image: str) -> dict[str, Any]:
    """Build the Compose file: a registry with a login, a mirror without one, the servers."""
    login = {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM": "lab"}
    login |= {"REGISTRY_AUTH_HTPASSWD_PATH": "/htpasswd", "HTPASSWD": state.mark.replace("$", "$$")}
    services = {
        "registry": _registry(state.registry, login),
        "mirror": _registry(state.mirror, {}),
        **{name: _node(state, name, image) for name in state.nodes},
    }
    for name, service in services.items():
        service["container_name"] = f"{project}-{name}"
        service["hostname"] = name
        service["networks"] = {"default": {"ipv4_address": state.address(name)}}
    network = {"ipam": {"config": [{"subnet": state.subnet}]}}
    return {"services": services, "networks": {"default": network}}


def _health(command: str) -> dict[str, Any]:
    times = {"interval": "30s", "timeout": "10s", "start_period": "120s", "start_interval": "300ms"}
    return {"test": ["CMD-SHELL", command], "retries": 3, **times}


def _registry(port: int, login: Mapping[str, str]) -> dict[str, Any]:
    serve = "exec registry serve /etc/docker/registry/config.yml"
    return {
        "image": REGISTRY,
        "entrypoint": ["sh", "-c", f'echo "$$HTPASSWD" >/htpasswd && {serve}'],
        "environment": {"HTPASSWD": "", "REGISTRY_STORAGE_DELETE_ENABLED": "true", **login},
        "ports": [f"127.0.0.1:{port}:5000"],
        "healthcheck": _health("wget -q -O /dev/null http://127.0.0.1:5000/"),
    }


def _node(state: State, name: str, image: str) -> dict[str, Any]:
    forward = f"{state.registry}=registry:5000 {state.mirror}=mirror:5000"
    if state.orchestrator == KUBERNETES:
        own = kubernetes.server(state, name, forward)
    else:
        own = _docker_server(state, name, forward)
    ports = [f"127.0.0.1:{port}:{inner}" for inner, port in own.pop("ports").items()]
    volumes = [*own.pop("volumes"), "/sys/fs/cgroup:/sys/fs/cgroup:rw"]
    return {
        **own,
        "image": image,
        "ports": ports,
        "volumes": volumes,
        # What containers in a container need; see node-entrypoint.sh.
        "cap_add": ["ALL"],
        "cgroup": "host",
        "device_cgroup_rules": ["a *:* rwm"],
        "security_opt": [f"{what}=unconfined" for what in ("seccomp", "apparmor", "systempaths")],
        "depends_on": {name: {"condition": "service_healthy"} for name in ("registry", "mirror")},
        "healthcheck": _health(own["healthcheck"]),
    }


def _docker_server(state: State, name: str, forward: str) -> dict[str, Any]:
    """Return a server with its own engine and sshd; see node-entrypoint.sh."""
    published = {22: state.ssh[state.nodes.index(name)]}
    if name == state.nodes[0]:
        published |= {80 + number: port for number, port in enumerate(state.http)}
    return {
        "command": ["--registry-mirror", f"http://localhost:{state.mirror}"],
        "environment": {"AUTHORIZED_KEYS": state.public, "FORWARD": forward},
        "ports": published,
        "volumes": ["/var/lib/docker"],
        "healthcheck": f"docker version >/dev/null && test -s {HOSTKEY}",
    }


def overlay(state: State, project: str, names: Iterable[str]) -> dict[str, Any]:
    """Build settings that override invoke.yaml: the registry and every environment in the lab."""
    registry = {"image": f"{state.host}/{project}", "insecure": False, "ca": ""}
    if state.orchestrator == KUBERNETES:
        return {"registry": registry, "environments": {}}
    environments = {
        name: {
            "url": f"http://127.0.0.1:{port}",
            "hosts": [f"deploy@127.0.0.1:{port}" for port in state.ssh],
            "admin": "",
            "orchestrator": state.orchestrator,
            "values": {"REPLICAS": 2, "HTTP_PORT": 80 + number, "HTTPS_PORT": 443 + number},
        }
        for number, (name, port) in enumerate(zip(names, state.http, strict=False))
    }
    return {"registry": registry, "environments": environments}


def known_hosts(state: State, keys: Iterable[str]) -> str:
    """Build ssh's known_hosts file from the servers' public host keys."""
    lines = zip(state.ssh, keys, strict=True)
    return "".join(f"[127.0.0.1]:{port} {' '.join(key.split()[:2])}\n" for port, key in lines)


def variables(state: State, settings: Path, hosts: str) -> dict[str, str]:
    """Return the variables with which the tasks use the lab."""
    return {
        "INVOKE_RUNTIME_CONFIG": str(settings),
        "CI_REGISTRY": state.host,
        "CI_REGISTRY_USER": USER,
        "CI_REGISTRY_PASSWORD": state.password,
        "SSH_PRIVATE_KEY": state.private,
        "SSH_KNOWN_HOSTS": hosts,
        **state.variables,
    }


def exports(variables: Mapping[str, str]) -> str:
    """Build lines for the shell that export variables."""
    return "\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items())
