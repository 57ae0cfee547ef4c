"""Compose projects."""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invoke import Context

from ..errors import ExitCode, TaskError
from . import cli

# What docker needs of this shell to find its plugin; a Compose file could name any other variable.
NEEDED = ("PATH", "HOME", "DOCKER_CONFIG", "TMPDIR")


def project_name(name: str, folder: Path, overlay: str) -> str:
    """Return a Compose project's name, which differs for each clone and each overlay."""
    slug = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")[:30]
    mark = hashlib.sha256(str(folder).encode()).hexdigest()[:4]
    return "-".join(part for part in (name, slug, mark, overlay) if part)


@dataclass(frozen=True)
class Container:
    """A container of a project; health is empty without a health check, ports are the host's.

    `started` is when it was started last, as Docker writes it.
    """

    name: str
    started: str
    service: str
    status: str
    running: bool
    exit_code: int
    health: str
    ports: frozenset[str]


@dataclass(frozen=True)
class Project:
    """A Compose project.

    Args:
        files: the base file and its overlay; paths in them are relative to their folder.
        name: the name that its containers, networks and volumes begin with.
        env: variables for the files' interpolation; no secret, since they show in argv.
    """

    ctx: Context
    files: Sequence[Path]
    name: str
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, *words: str) -> str:
        """Return what a Compose command writes to stdout. Raises DockerError when it fails."""
        return cli.run(self.ctx, *self._words, *words, env=self.env)

    def stream(self, *words: str) -> int:
        """Run a Compose command with this terminal, and return its exit status."""
        return cli.stream(self.ctx, *self._words, *words, env=self.env)

    def popen(self, *words: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start a Compose command, its stdout discarded or a pipe, and return its process."""
        return cli.popen(self.ctx, *self._words, *words, env=self.env, stdout=stdout)

    def config(self) -> Any:
        """Return the project's files as Compose merges and resolves them, with `env` alone.

        Neither this shell's variables nor a file .env count.
        """
        words = (*self._words, "--env-file", os.devnull, "config", "--format", "json")
        return json.loads(cli.run(self.ctx, *words, env=self.env, inherits=NEEDED))

    def containers(self, *services: str) -> list[Container]:
        """Return the containers, also stopped ones, of some services or of all."""
        ids = self.run("ps", "--all", "--quiet", *services).split()
        shown = cli.run(self.ctx, "container", "inspect", *ids, reads=True) if ids else "[]"
        return [_container(found) for found in json.loads(shown)]

    def known(self, service: str) -> str:
        """Return a service that has a container. Raises TaskError for another one."""
        known = sorted({each.service for each in self.containers()})
        if service in known:
            return service
        what, hint = f"no service {service!r} runs here", f"known: {', '.join(known) or 'none'}"
        raise TaskError(what, hint, ExitCode.REFUSED)

    def logs(self, container: Container, lines: int) -> str:
        """Return the last lines of a container's log."""
        words = ("logs", "--tail", str(lines), container.name)
        return cli.run(self.ctx, *words, reads=True, merged=True)

    @property
    def _words(self) -> list[str]:
        files = [word for file in self.files for word in ("--file", str(file))]
        folder = str(self.files[0].parent)
        return ["compose", *files, "--project-name", self.name, "--project-directory", folder]


def _container(found: dict[str, Any]) -> Container:
    state, published = found["State"], (found["NetworkSettings"]["Ports"] or {}).values()
    return Container(
        name=found["Name"].removeprefix("/"),
        started=state["StartedAt"],
        service=found["Config"]["Labels"]["com.docker.compose.service"],
        status=state["Status"],
        running=state["Running"],
        exit_code=state["ExitCode"],
        health=state.get("Health", {}).get("Status", ""),
        ports=frozenset(port["HostPort"] for bound in published for port in bound or []),
    )
