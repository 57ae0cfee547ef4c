"""Compose projects."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import Context

from . import cli, client

if TYPE_CHECKING:
    from python_on_whales import Container as Inspected
    from python_on_whales import DockerClient


def project_name(name: str, folder: Path, overlay: str) -> str:
    """Return a Compose project's name, which differs for each clone and each overlay."""
    slug = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")[:30]
    mark = hashlib.sha256(str(folder).encode()).hexdigest()[:4]
    return "-".join(part for part in (name, slug, mark, overlay) if part)


@dataclass(frozen=True)
class Container:
    """A container of a project.

    Args:
        status: such as running or exited.
        health: such as healthy; empty without a health check.
        ports: the ports of the host that it publishes.
    """

    name: str
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
    env: Mapping[str, str | None] = field(default_factory=dict)

    def run(self, *words: str) -> str:
        """Return what a Compose command writes to stdout. Raises DockerError when it fails."""
        return cli.run(self.ctx, *self._words, *words, env=self.env)

    def stream(self, *words: str) -> int:
        """Run a Compose command with this terminal, and return its exit status."""
        return cli.stream(self.ctx, *self._words, *words, env=self.env)

    def popen(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a Compose command, its stdout discarded, and return its process."""
        words = (*self._words, *words)
        return cli.popen(self.ctx, *words, env=self.env, stdout=subprocess.DEVNULL)

    def config(self) -> Any:
        """Return the project's files as Compose merges and resolves them."""
        with self._client() as docker:
            return docker.compose.config(return_json=True)

    def containers(self, *services: str) -> list[Container]:
        """Return the containers, also stopped ones, of some services or of all."""
        with self._client() as docker:
            return [_container(found) for found in docker.compose.ps([*services], all=True)]

    def logs(self, container: Container, lines: int) -> str:
        """Return the last lines of a container's log."""
        words = ("logs", "--tail", str(lines), container.name)
        return cli.run(self.ctx, *words, reads=True, merged=True)

    @property
    def _words(self) -> list[str]:
        files = [word for file in self.files for word in ("--file", str(file))]
        folder = str(self.files[0].parent)
        return ["compose", *files, "--project-name", self.name, "--project-directory", folder]

    def _client(self) -> AbstractContextManager[DockerClient]:
        return client.connect(
            self.ctx,
            self.env,
            compose_files=list(self.files),
            compose_project_name=self.name,
            compose_project_directory=self.files[0].parent,
        )


def _container(found: Inspected) -> Container:
    state, published = found.state, (found.network_settings.ports or {}).values()
    return Container(
        name=found.name,
        service=(found.config.labels or {})["com.docker.compose.service"],
        status=state.status or "",
        running=bool(state.running),
        exit_code=state.exit_code or 0,
        health=(state.health.status or "") if state.health else "",
        ports=frozenset(port["HostPort"] for bound in published for port in bound or []),
    )
