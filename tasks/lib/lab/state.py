"""The state of a lab: its ports, keys and passwords, kept in .lab/NAME."""

from __future__ import annotations

import json
import random
import secrets
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from ipaddress import ip_network
from itertools import islice
from pathlib import Path

import bcrypt
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..files import write_private

USER = "lab"
# The fewest ports of the first server that are published, from 80 on: one for each environment.
PORTS = 4
# Below the system's ephemeral ports, so that none is taken while a server is stopped.
RANGE = range(20000, 32000)


@dataclass(frozen=True)
class State:
    """What was chosen for a lab when it was created.

    Args:
        subnet: the network's addresses; each container keeps its own, as Swarm requires.
        registry: the registry's port, on this machine and on each server's localhost.
        mirror: the port of the servers' mirror of Docker Hub, likewise.
        ssh: the published port of each server's sshd.
        http: the published ports of the first server's ports 80, 81 and so on.
        mark: the password's htpasswd entry.
        variables: the values of the environments' secrets.
        orchestrator: of every environment.
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
    orchestrator: str = "swarm"

    @property
    def nodes(self) -> list[str]:
        """The servers' names."""
        return [f"node{number}" for number in range(1, len(self.ssh) + 1)]

    @property
    def api(self) -> int:
        """The published port of the API of a Kubernetes cluster, whose servers have no sshd."""
        return self.ssh[0]

    @property
    def host(self) -> str:
        """The registry's host, the same on this machine and on the servers."""
        return f"localhost:{self.registry}"

    def address(self, name: str) -> str:
        """Return a container's address in the lab's network."""
        number = {"registry": 2, "mirror": 3}.get(name) or 10 + self.nodes.index(name)
        return str(ip_network(self.subnet)[number])


def new_state(
    subnet: str, nodes: int, environments: int, names: Iterable[str], orchestrator: str
) -> State:
    """Create a lab's state: free ports, new keys and passwords, a value for each secret's name."""
    private, public = _key_pair()
    password = secrets.token_hex(16)
    ports = free_ports(2 + nodes + max(PORTS, environments))
    return State(
        subnet=subnet,
        registry=ports[0],
        mirror=ports[1],
        ssh=ports[2 : 2 + nodes],
        http=ports[2 + nodes :],
        password=password,
        mark=f"{USER}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(5)).decode()}",
        private=private,
        public=public,
        variables={name: secrets.token_hex(32) for name in names},
        orchestrator=orchestrator,
    )


def _key_pair() -> tuple[str, str]:
    """Generate a private and a public SSH key."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


def free_ports(count: int) -> list[int]:
    """Return free ports of 127.0.0.1."""

    def is_free(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    return list(islice(filter(is_free, random.sample(RANGE, len(RANGE))), count))


def load(folder: Path) -> State | None:
    """Read a lab's state; None without one."""
    file = folder / "lab.json"
    return State(**json.loads(file.read_text("utf-8"))) if file.exists() else None


def save(folder: Path, state: State) -> None:
    """Write a lab's state, readable only by this user."""
    write_private(folder / "lab.json", json.dumps(asdict(state), indent=1))
