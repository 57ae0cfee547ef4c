"""Engines of their own, each in a container, that have no image and nobody's cache."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.commands import ROOT, docker, until, works

# What an engine in a container needs: lab/images/node-entrypoint.sh.
RIGHTS = (
    "--cap-add=ALL",
    "--cgroupns=host",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--device-cgroup-rule=a *:* rwm",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
)
# What the app's image is built from.
BASE = "python:3.13-slim-trixie"


@dataclass(frozen=True)
class Engine:
    """An engine in a container: the container's name, and the engine's address."""

    name: str
    address: str

    @property
    def env(self) -> dict[str, str]:
        """The variable that lets a command use it."""
        return {"DOCKER_HOST": self.address}

    def docker(self, *words: str) -> str:
        """Return what a docker command prints on it."""
        return docker("--host", self.address, *words)

    def load(self, image: str, archive: Path) -> None:
        """Give it an image of this machine, by way of an archive that is made once."""
        if not archive.exists():
            docker("save", "--output", archive, image)
        self.docker("load", "--input", str(archive))

    def remove(self) -> None:
        """Remove it with all that it has."""
        docker("rm", "--force", "--volumes", self.name)
        docker("image", "rm", "--force", self.name)


def start_engine(name: str, folder: Path, *options: str, daemon: tuple[str, ...] = ()) -> Engine:
    """Start an engine, and wait until it answers.

    Args:
        name: of its container, and of the container's image.
        folder: where its socket is to be.
        options: more of `docker run`.
        daemon: more of its dockerd.
    """
    images = ROOT / "lab/images"
    docker("build", "--quiet", f"--tag={name}", f"--file={images}/node.Dockerfile", images)
    folder.mkdir(parents=True, exist_ok=True)
    docker(
        "run", "--detach", f"--name={name}", *RIGHTS, f"--volume={folder}:/shared", *options,
        name, "--host=unix:///var/run/docker.sock", "--host=unix:///shared/docker.sock", *daemon,
    )  # fmt: skip
    engine = Engine(name, f"unix://{folder}/docker.sock")
    until(works(lambda: engine.docker("version")), 60)
    return engine


@contextmanager
def own_engine(folder: Path, *options: str, daemon: tuple[str, ...] = ()) -> Iterator[Engine]:
    """Start an engine as start_engine does, and remove it at the end."""
    name = f"test-engine-{uuid.uuid4().hex[:8]}"
    try:
        yield start_engine(name, folder, *options, daemon=daemon)
    finally:
        Engine(name, "").remove()


def address(container: str) -> str:
    """Return a container's address on the network that containers are in unasked."""
    return docker("inspect", "--format={{.NetworkSettings.Networks.bridge.IPAddress}}", container)


def forward(ports: dict[int, str]) -> str:
    """Return the option that leads ports of an engine's own localhost to port 5000 of others.

    Args:
        ports: the container that is to be reached, by the port.
    """
    leads = (f"{port}={address(container)}:5000" for port, container in ports.items())
    return f"--env=FORWARD={' '.join(leads)}"
