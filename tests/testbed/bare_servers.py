"""Bare servers: containers with sshd and sudo, as a provider hands a Debian over."""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network, ip_network
from pathlib import Path

import yaml

from tests.testbed.commands import ROOT, docker, environment, free_port, output, until, works
from tests.testbed.runs import Run
from tests.testbed.sshds import make_key, public

IMAGE = "bare-server"
# As for a lab's servers; see lab/images/node-entrypoint.sh.
FLAGS = [
    "--cap-add=ALL", "--cgroupns=host", "--device-cgroup-rule=a *:* rwm",
    "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--tmpfs=/run:exec", "--tmpfs=/run/lock", "--tmpfs=/tmp",
]  # fmt: skip
READY = "test -s /etc/ssh/ssh_host_ed25519_key.pub && bash -c '</dev/tcp/127.0.0.1/22'"
# What an engine in a container needs: keys that are not ours, in a file that is not ours.
DAEMON = {"storage-driver": "overlay2", "cgroup-parent": "CGROUP"}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@dataclass
class Bare:
    """Bare servers in a network of their own, and how tasks reach them.

    Args:
        names: their containers.
        ports: those of their sshd's, on this machine.
        web: the port of this machine that leads to port 80 of the first.
        more: more settings.
    """

    folder: Path
    network: str
    names: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    web: int = 0
    more: dict[str, object] = field(default_factory=dict)
    root: Path = ROOT

    def on(self, number: int, script: str, text: str = "") -> str:
        """What a shell script prints on a server, as root."""
        return docker("exec", "--interactive", self.names[number], "sh", "-c", script, text=text)

    def load(self, image: str, number: int = 0) -> None:
        """Give a server's engine an image of this machine."""
        there = f"docker exec --interactive {self.names[number]} docker load"
        output(["sh", "-c", f"docker save {image} | {there}"])

    def address(self, number: int) -> str:
        """A server's address in the network."""
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", "--format", form, self.names[number])

    def settings(self, **entry: object) -> Path:
        """Write settings in which the servers are those of staging; returns the file."""
        hosts = [f"deploy@127.0.0.1:{port}" for port in self.ports]
        staging = {"url": f"http://127.0.0.1:{self.web}", "hosts": hosts, "admin": "ops"}
        staging |= {"values": {"REPLICAS": 2}, **entry}
        file = self.folder / "invoke.yaml"
        file.write_text(yaml.safe_dump({**self.more, "environments": {"staging": staging}}))
        return file

    def connect(self, number: int, address: str, *ports: int) -> list[int]:
        """The ports of an address that a server can connect to."""
        return open_ports(self.names[number], address, ports)

    def stranger(self, address: str, *ports: int) -> list[int]:
        """The ports of an address that another machine of the network can connect to."""
        name = f"{self.names[0]}-stranger"
        words = ["--rm", "--detach", f"--name={name}", f"--network={self.network}"]
        docker("run", *words, "--entrypoint=sleep", f"{IMAGE}:sysv", "60")
        try:
            return open_ports(name, address, ports)
        finally:
            docker("rm", "--force", name)

    @property
    def variables(self) -> dict[str, str]:
        """The variables with which tasks log in."""
        known = [
            f"[127.0.0.1]:{port} {self.on(n, 'cat /etc/ssh/ssh_host_ed25519_key.pub')}"
            for n, port in enumerate(self.ports)
        ]
        return {
            "INVOKE_RUNTIME_CONFIG": str(self.folder / "invoke.yaml"),
            "SSH_PRIVATE_KEY": (self.folder / "key").read_text(),
            "SSH_KNOWN_HOSTS": "\n".join(known),
            "DOCKER_CONFIG": str(self.folder / "docker"),
        }

    def inv(self, *words: str, **env: str) -> Run:
        """Run a task to its end."""
        command = ["./inv", *words, "--env=staging"]
        return Run(command, self.root, environment(**{**self.variables, **env})).wait(600)


def script(address: str, ports: Sequence[int]) -> str:
    """A script for bash that prints the ports of an address that it can connect to."""
    one = f'timeout 2 bash -c "exec 3<>/dev/tcp/{address}/$port" 2>/dev/null'
    return f"for port in {' '.join(map(str, ports))}; do {one} && echo $port; done; true"


def open_ports(container: str, address: str, ports: Sequence[int]) -> list[int]:
    """The ports of an address that a container can connect to."""
    shown = docker("exec", container, "bash", "-c", script(address, ports))
    return [int(port) for port in shown.split()]


def free_subnet() -> str:
    """A subnet that no network of the engine has, nor will soon."""
    listed = docker("network", "ls", "--quiet").split()
    form = "{{range .IPAM.Config}}{{.Subnet}} {{end}}"
    taken = [
        ip_network(each) for each in docker("network", "inspect", "--format", form, *listed).split()
    ]
    choice = (
        ip_network(f"10.{random.randrange(200, 250)}.{random.randrange(256)}.0/24")
        for _ in range(999)
    )
    return str(next(each for each in choice if not any(map(each.overlaps, taken))))


def _network(name: str, number: int) -> list[str]:
    """Docker's words for a place in a network, away from those that a lab has chosen."""
    return [f"--network={name}", f"--ip={_subnet(name)[100 + number]}"]


def _subnet(network: str) -> IPv4Network:
    form = "{{(index .IPAM.Config 0).Subnet}}"
    return IPv4Network(docker("network", "inspect", "--format", form, network))


@contextmanager
def bare_servers(
    folder: Path,
    count: int = 1,
    init: str = "systemd",
    network: str = "",
    daemon: Mapping[str, object] | str = DAEMON,
    flags: Sequence[str] = (),
) -> Iterator[Bare]:
    """Start bare servers, and remove them at the end.

    Args:
        network: one that is there.
        daemon: the daemon.json that somebody has left on them.
        flags: more words of docker run.
    """
    image = f"{IMAGE}:{init}"
    # The other machines of a test's network, and what runs on the servers, are of sysv.
    for kind in {init, "sysv"}:
        tag = f"{IMAGE}:{kind}"
        docker("build", "--quiet", "--tag", tag, "--target", kind, ROOT / "tests/testbed/bare")
    mark = f"bare-{uuid.uuid4().hex[:8]}"
    make_key(folder / "key")
    made = Bare(folder, network or mark, web=free_port())
    if not network:
        # An address can be chosen only in a subnet that was.
        docker("network", "create", f"--subnet={free_subnet()}", mark)
    text = daemon if isinstance(daemon, str) else json.dumps(daemon)
    try:
        for number in range(count):
            port, name = free_port(), f"{mark}-{number + 1}"
            web = [f"--publish=127.0.0.1:{made.web}:80"] if not number else []
            docker(
                "run", "--detach", f"--name={name}", f"--hostname=bare{number + 1}", *FLAGS, *web,
                *_network(made.network, number), f"--publish=127.0.0.1:{port}:22", *flags,
                f"--env=AUTHORIZED_KEYS={public(folder / 'key')}", f"--env=DAEMON={text}", image,
            )  # fmt: skip
            made.names.append(name)
            made.ports.append(port)
        for number in range(count):
            until(works(lambda number=number: made.on(number, READY)), 60)
        made.settings()
        yield made
    finally:
        if made.names:
            docker("rm", "--force", "--volumes", *made.names)
        if not network:
            docker("network", "rm", mark)


@contextmanager
def docker_packages(folder: Path, network: str) -> Iterator[str]:
    """Serve a stand-in of Docker's own packages to a network; gives its address."""
    words = ["--rm", f"--volume={ROOT}/tests/testbed/bare:/bare:ro", f"--volume={folder}:/made"]
    docker("run", *words, "debian:trixie-slim", "/bare/repository.sh", "/made")
    gateway = str(_subnet(network)[1])
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer((gateway, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{server.server_address[0]}:{server.server_address[1]}"
        server.shutdown()
