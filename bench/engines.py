"""A registry to publish to, and engines that know nothing yet, each in a container of its own."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scratch import Scratch

# What an engine in a container needs: lab/images/node-entrypoint.sh.
RIGHTS = [
    "--cap-add=ALL",
    "--cgroupns=host",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--device-cgroup-rule=a *:* rwm",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
]
BASE = "python:3.13-slim-trixie"
KINDS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# A line of its log about a blob: the digest of one that is fetched, or an upload.
ASKED = re.compile(r'"(GET|PATCH) /v2/\S+/blobs/(sha256:\w+|uploads/)')
SECONDS = 60


@dataclass(frozen=True)
class Manifest:
    """A manifest of the registry."""

    body: bytes
    kind: str

    @property
    def layers(self) -> dict[str, int]:
        """The size of each layer as it is stored, by digest."""
        return {each["digest"]: each["size"] for each in json.loads(self.body)["layers"]}


class Registry:
    """A registry of this machine, at the same address for this machine and for every engine."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch, self.name = scratch, f"{scratch.mark}-registry"
        scratch.docker(
            "run", "--detach", f"--name={self.name}", "--publish=127.0.0.1::5000", "registry:2"
        )
        self.host = scratch.docker("port", self.name, "5000/tcp").split()[0]
        # Where an engine's own localhost leads to, as this machine's does.
        self.forwards = {self.host.rpartition(":")[2]: f"{address(scratch, self.name)}:5000"}
        self.image = f"{self.host}/bench/app"
        until(lambda: self.ask("/v2/"))

    def ask(self, path: str, method: str = "GET", data: bytes | None = None, kind: str = "") -> Any:
        """What the registry answers."""
        headers = {"Accept": ", ".join(KINDS), **({"Content-Type": kind} if kind else {})}
        request = urllib.request.Request(f"http://{self.host}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return Manifest(answer.read(), answer.headers.get("Content-Type", ""))

    def manifest(self, tag: str) -> Manifest:
        """The manifest of a tag."""
        return self.ask(f"/v2/bench/app/manifests/{tag}")

    def tag(self, tag: str, manifest: Manifest) -> None:
        """Give an image another tag."""
        self.ask(f"/v2/bench/app/manifests/{tag}", "PUT", manifest.body, manifest.kind)

    def received(self) -> int:
        """How many bytes have come in over its network until now."""
        counted = self.scratch.docker("exec", self.name, "cat", "/proc/net/dev")
        return int(re.search(r"eth0: *(\d+)", counted)[1])  # type: ignore[index]

    def requests(self) -> list[tuple[str, str]]:
        """What was asked about blobs until now: method and digest."""
        return ASKED.findall(self.scratch.docker("logs", self.name))


class Engine:
    """An engine that has no layer of ours and nobody's cache, and sees the scratch folder.

    Args:
        forwards: which port of its own localhost leads to which address.
        arguments: dockerd's.
    """

    def __init__(
        self, scratch: Scratch, name: str, forwards: Mapping[str, str], *arguments: str
    ) -> None:
        self.scratch, self.name = scratch, f"{scratch.mark}-{name}"
        folder, sockets = scratch.folder, scratch.folder / "sockets"
        sockets.mkdir(exist_ok=True)
        address = f"unix://{sockets}/{name}.sock"
        leads = " ".join(f"{port}={where}" for port, where in forwards.items())
        scratch.docker(
            "run", "--detach", f"--name={self.name}", *RIGHTS, f"--env=FORWARD={leads}",
            f"--volume={self.name}:/var/lib/docker", f"--volume={folder}:{folder}",
            node(scratch), f"--host={address}", *arguments,
        )  # fmt: skip
        self.env = {"DOCKER_HOST": address}
        until(lambda: self.docker("version"))

    def load(self, image: str) -> None:
        """Give it an image that this machine has, which then nobody fetches."""
        archive = self.scratch.folder / "base.tar"
        if not archive.exists():
            self.scratch.docker("save", f"--output={archive}", image)
        self.docker("load", f"--input={archive}")

    def docker(self, *words: str) -> str:
        """What a docker command prints, on this engine."""
        return self.scratch.run("docker", *words, **self.env)

    def seconds(self, *command: str, **env: str) -> float:
        """How long a command takes that uses this engine."""
        return self.scratch.seconds(*command, **self.env, **env)

    def remove(self) -> None:
        """Remove it with all that it has."""
        self.scratch.docker("rm", "--force", "--volumes", self.name)
        self.scratch.docker("volume", "rm", "--force", self.name)


def address(scratch: Scratch, container: str) -> str:
    """The address of a container on the network that containers are in unasked."""
    network = "--format={{.NetworkSettings.Networks.bridge.IPAddress}}"
    return scratch.docker("inspect", network, container).strip()


def node(scratch: Scratch) -> str:
    """The image of an engine."""
    folder = scratch.tree / "lab/images"
    name = f"{scratch.mark}-node"
    scratch.docker(
        "build", "--quiet", f"--tag={name}", f"--file={folder}/node.Dockerfile", str(folder)
    )
    return name


def until(ready: Any) -> None:
    """Wait until something answers. Raises RuntimeError when it does not within SECONDS."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            ready()
            return
        except (OSError, RuntimeError) as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"not ready within {SECONDS} s: {error}") from error
            time.sleep(0.1)
