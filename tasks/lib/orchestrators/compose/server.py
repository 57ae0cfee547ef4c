"""Docker on the one server of a stack: its containers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from subprocess import DEVNULL
from typing import Any

from invoke import Context

from ...docker import cli
from ...docker.cli import DockerError
from ...errors import TaskError
from ..engine import Engine
from ..stack import SERVICE, STACK
from .containers import Container


class Server(Engine):
    """Docker on the one server of a stack."""

    def __init__(self, ctx: Context, env: Mapping[str, str], stack: str) -> None:
        # Containers of other generations are no mistake.
        super().__init__(ctx, {**env, "COMPOSE_IGNORE_ORPHANS": "true"})
        self.stack = stack

    def of(self, *labels: str) -> list[str]:
        """Return docker's filters for what belongs to the stack."""
        return [f"label={STACK}={self.stack}", *(f"label={each}" for each in labels)]

    def ids_of(self, *labels: str) -> list[str]:
        """Return the IDs of the stack's containers with labels, also of those that do not run."""
        return self.ids("container", *self.of(*labels))

    def containers(self) -> list[Container]:
        """Return the containers of the stack's services, also those that do not run."""
        while True:
            ids = self.ids_of(SERVICE)
            try:
                return [Container(each) for each in self.inspect("container", ids)]
            except DockerError:
                # One may have been removed since it was listed.
                if {*ids} <= {*self.ids_of(SERVICE)}:
                    raise

    def create(self, file: Mapping[str, Any]) -> None:
        """Create the containers of a Compose file, and start none."""
        words = ("compose", "--file", "-", "--project-name", self.stack, "create")
        self.run(*words, "--no-build", text=json.dumps(file))

    def start(self, containers: Iterable[Container]) -> None:
        """Start containers, all at the same time."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: self._on("start", [each]), containers))

    def restart_policy(self, policy: str, containers: Iterable[Container]) -> None:
        """Set the restart policy of containers."""
        self._on("update", containers, f"--restart={policy}")

    def delete(self, containers: Iterable[Container]) -> None:
        """Remove containers that have ended, with the volumes that have no name."""
        self._on("rm", containers, "--volumes")

    def _on(self, verb: str, containers: Iterable[Container], *options: str) -> None:
        if ids := [each.id for each in containers]:
            self.run("container", verb, *options, *ids)

    def stopping(self, containers: Iterable[Container]) -> subprocess.Popen[bytes] | None:
        """Begin to stop containers, each in its own time; return the command that waits for it."""
        ids = [each.id for each in containers if not each.ended]
        words = ("container", "stop", *ids)
        return cli.popen(self.ctx, *words, env=self.env, stdout=DEVNULL) if ids else None

    def log(self, container: str, lines: int | str = "all") -> list[str]:
        """Return the last lines that a container logged."""
        words = ("logs", "--tail", str(lines), container)
        return cli.run(self.ctx, *words, env=self.env, reads=True, merged=True).splitlines()


def stopped(stopping: subprocess.Popen[bytes] | None) -> bool:
    """Return whether the command of `stopping` has ended. Raises TaskError when it failed."""
    if stopping and stopping.poll():
        what = f"docker stop exited with {stopping.returncode}: the lines above say why"
        raise TaskError(what, "see docker ps there, then deploy again")
    return stopping is None or stopping.returncode == 0
