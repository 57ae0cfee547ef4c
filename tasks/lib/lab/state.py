"""The facts of a lab: its ports, keys and passwords, kept in .lab/NAME."""

from __future__ import annotations

import json
import random
import secrets
import socket
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from ipaddress import ip_network
from pathlib import Path

from ..files import write_private

USER = "lab"
# Ports of the first server that are published here, from 80 on: one for each environment.
PORTS = 4
# Below those that the system itself hands out, so that none is taken while a server is stopped.
RANGE = range(20000, 32000)


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
    folder.mkdir(0o700, parents=True, exist_ok=True)
    write_private(folder / "lab.json", json.dumps(asdict(plan), indent=1))
