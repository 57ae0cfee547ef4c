"""The files of a lab, made from its facts: for Compose, for Invoke, for ssh and for the shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .state import USER, Plan

HOSTKEY = "/etc/ssh/ssh_host_ed25519_key.pub"


def compose(plan: Plan, project: str, image: str) -> dict[str, Any]:
    """The Compose file: a registry with a login, a mirror without one, the servers."""
    login = {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM": "lab"}
    login |= {"REGISTRY_AUTH_HTPASSWD_PATH": "/htpasswd", "HTPASSWD": plan.mark.replace("$", "$$")}
    services = {
        "registry": _registry(plan.registry, login),
        "mirror": _registry(plan.mirror, {}),
        **{name: _node(plan, name, image) for name in plan.nodes},
    }
    for name, service in services.items():
        service["container_name"] = f"{project}-{name}"
        service["hostname"] = name
        service["networks"] = {"default": {"ipv4_address": plan.address(name)}}
    network = {"ipam": {"config": [{"subnet": plan.subnet}]}}
    return {"services": services, "networks": {"default": network}}


def _health(command: str, interval: str = "30s") -> dict[str, Any]:
    quick = {"timeout": "10s", "start_period": "120s", "start_interval": "300ms"}
    return {"test": ["CMD-SHELL", command], "interval": interval, "retries": 3, **quick}


def _registry(port: int, login: Mapping[str, str]) -> dict[str, Any]:
    serve = "exec registry serve /etc/docker/registry/config.yml"
    return {
        "image": "registry:2",
        "entrypoint": ["sh", "-c", f'echo "$$HTPASSWD" >/htpasswd && {serve}'],
        "environment": {"HTPASSWD": "", "REGISTRY_STORAGE_DELETE_ENABLED": "true", **login},
        "ports": [f"127.0.0.1:{port}:5000"],
        "healthcheck": _health("wget -q -O /dev/null http://127.0.0.1:5000/"),
    }


def _node(plan: Plan, name: str, image: str) -> dict[str, Any]:
    published = {22: plan.ssh[plan.nodes.index(name)]}
    if name == plan.nodes[0]:
        published |= {80 + number: port for number, port in enumerate(plan.http)}
    forwards = {plan.registry: "registry:5000", plan.mirror: "mirror:5000"}
    return {
        "image": image,
        "command": ["--registry-mirror", f"http://localhost:{plan.mirror}"],
        "environment": {
            "AUTHORIZED_KEYS": plan.public,
            "FORWARD": " ".join(f"{port}={where}" for port, where in forwards.items()),
        },
        "ports": [f"127.0.0.1:{port}:{inner}" for inner, port in published.items()],
        "volumes": ["/var/lib/docker", "/sys/fs/cgroup:/sys/fs/cgroup:rw"],
        # What an engine inside a container needs; see node-entrypoint.sh.
        "cap_add": ["ALL"],
        "cgroup": "host",
        "device_cgroup_rules": ["a *:* rwm"],
        "security_opt": [f"{what}=unconfined" for what in ("seccomp", "apparmor", "systempaths")],
        "depends_on": {name: {"condition": "service_healthy"} for name in ("registry", "mirror")},
        "healthcheck": _health(f"docker version >/dev/null && test -s {HOSTKEY}"),
    }


def overlay(plan: Plan, project: str, environments: Iterable[str]) -> dict[str, Any]:
    """Settings on top of invoke.yaml: the registry and every environment are in the lab."""
    registry = {"image": f"{plan.host}/{project}", "insecure": False, "ca": ""}
    places = {
        name: {
            "url": f"http://127.0.0.1:{port}",
            "hosts": [f"deploy@127.0.0.1:{each}" for each in plan.ssh],
            "values": {"REPLICAS": 2, "HTTP_PORT": 80 + number, "HTTPS_PORT": 443 + number},
        }
        for number, (name, port) in enumerate(zip(environments, plan.http, strict=False))
    }
    return {"registry": registry, "environments": places}


def known_hosts(plan: Plan, keys: Iterable[str]) -> str:
    """What ssh is to know of the servers, from their public keys."""
    lines = zip(plan.ssh, keys, strict=True)
    return "".join(f"[127.0.0.1]:{port} {' '.join(key.split()[:2])}\n" for port, key in lines)


def variables(plan: Plan, settings: Path, hosts: str) -> dict[str, str]:
    """What lets the tasks work with the lab."""
    return {
        "INVOKE_RUNTIME_CONFIG": str(settings),
        "CI_REGISTRY": plan.host,
        "CI_REGISTRY_USER": USER,
        "CI_REGISTRY_PASSWORD": plan.password,
        "SSH_PRIVATE_KEY": plan.private,
        "SSH_KNOWN_HOSTS": hosts,
        **plan.variables,
    }


def exports(variables: Mapping[str, str]) -> str:
    """Variables as lines for the shell."""
    return "\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items())
