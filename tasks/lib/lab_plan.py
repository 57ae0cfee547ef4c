"""What a lab consists of: its facts, kept in .lab/NAME, and the files made from them."""

from __future__ import annotations

import json
import random
import secrets
import shlex
import socket
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

USER = "lab"
# Ports of the first server that are published here, from 80 on: one for each environment.
PORTS = 4
# Below those that the system itself hands out, so that none is taken while a server is stopped.
RANGE = range(20000, 32000)
HOSTKEY = "/etc/ssh/ssh_host_ed25519_key.pub"


@dataclass(frozen=True)
class Plan:
    """The facts of a lab.

    Args:
        subnet: the network's addresses; a machine keeps its own, as a Swarm demands.
        registry: the port of the registry, here and on every server's own localhost.
        mirror: the port of the servers' mirror of Docker Hub, likewise.
        ssh: the port here of each server's sshd.
        http: the ports here of the first server's ports 80, 81 and so on.
        mark: the htpasswd entry for the password.
        variables: what an environment must be told and nobody else may know.
    """

    subnet: str
    registry: int
    mirror: int
    ssh: list[int]
    http: list[int]
    password: str
    mark: str
    private: str
    public: str
    variables: dict[str, str]

    @property
    def nodes(self) -> list[str]:
        """The servers' names."""
        return [f"node{number}" for number in range(1, len(self.ssh) + 1)]

    @property
    def host(self) -> str:
        """The registry's name, the same here and on the servers."""
        return f"localhost:{self.registry}"

    def address(self, name: str) -> str:
        """The address on the lab's network of a machine."""
        number = {"registry": 2, "mirror": 3}.get(name) or 10 + self.nodes.index(name)
        return str(ip_network(self.subnet)[number])


def draw(subnet: str, nodes: int, environments: int, names: Iterable[str]) -> Plan:
    """A new lab's facts: free ports, new keys and passwords, a value for each of the names."""
    import bcrypt
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    password = secrets.token_hex(16)
    http = max(PORTS, environments)
    ports = free_ports(2 + nodes + http)
    return Plan(
        subnet=subnet,
        registry=ports[0],
        mirror=ports[1],
        ssh=ports[2 : 2 + nodes],
        http=ports[2 + nodes :],
        password=password,
        mark=f"{USER}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(5)).decode()}",
        private=private.decode(),
        public=public.decode(),
        variables={name: secrets.token_hex(32) for name in names},
    )


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    found: list[int] = []
    for port in random.sample(RANGE, len(RANGE)):
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                found.append(port)
        if len(found) == count:
            break
    return found


def load(folder: Path) -> Plan | None:
    """The facts of a lab that was begun; None when none was."""
    try:
        return Plan(**json.loads((folder / "lab.json").read_text("utf-8")))
    except FileNotFoundError:
        return None


def save(folder: Path, plan: Plan) -> None:
    """Keep the facts, for nobody else to read."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    write(folder / "lab.json", json.dumps(asdict(plan), indent=1))


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all, for nobody else to read."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.touch(0o600)
    fresh.write_text(text, "utf-8")
    fresh.replace(path)


def compose(plan: Plan, image: str) -> dict[str, Any]:
    """The Compose file: a registry with a login, a mirror without one, the servers."""
    login = {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM": "lab"}
    login |= {"REGISTRY_AUTH_HTPASSWD_PATH": "/htpasswd", "HTPASSWD": plan.mark.replace("$", "$$")}
    services = {
        "registry": _registry(plan.registry, login),
        "mirror": _registry(plan.mirror, {}),
        **{name: _node(plan, name, image) for name in plan.nodes},
    }
    for name, service in services.items():
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
        "healthcheck": _health(f"docker version >/dev/null && test -s {HOSTKEY}"),
    }


def overlay(plan: Plan, project: str, environments: Iterable[str]) -> dict[str, Any]:
    """Settings on top of invoke.yaml: the registry and every environment are in the lab."""
    hosts = [f"deploy@127.0.0.1:{port}" for port in plan.ssh]
    registry = {"image": f"{plan.host}/{project}", "insecure": False, "ca": ""}
    places = {
        name: {
            "url": f"http://127.0.0.1:{port}",
            "hosts": hosts,
            "values": {"REPLICAS": 2, "HTTP_PORT": 80 + number},
        }
        for number, (name, port) in enumerate(zip(environments, plan.http, strict=False))
    }
    return {"registry": registry, "environments": places}


def known_hosts(plan: Plan, keys: Iterable[str]) -> str:
    """What ssh is to know of the servers, from their public keys."""
    lines = zip(plan.ssh, keys, strict=True)
    return "".join(f"[127.0.0.1]:{port} {' '.join(key.split()[:2])}\n" for port, key in lines)


def exports(plan: Plan, settings: Path, hosts: str) -> str:
    """Lines for the shell, after which the tasks work with the lab."""
    variables = {
        "INVOKE_RUNTIME_CONFIG": str(settings),
        "CI_REGISTRY": plan.host,
        "CI_REGISTRY_USER": USER,
        "CI_REGISTRY_PASSWORD": plan.password,
        "SSH_PRIVATE_KEY": plan.private,
        "SSH_KNOWN_HOSTS": hosts,
        **plan.variables,
    }
    return "\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items())
