"""Docker on the one server of a stack: its containers."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from subprocess import DEVNULL
from typing import Any

from invoke import Context

from ...docker import cli
from ...docker.cli import DockerError
from ...docker.retry import again
from ...errors import TaskError
from ..engine import GONE, Engine
from ..stack import SERVICE, STACK
from .containers import Container

# How often containers are told to stop.
TRIES = 3
ID = re.compile(r"[0-9a-f]{64}")


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
                return [Container(self._named(x)) for x in self.inspect("container", ids)]
            except DockerError:
                # One may have been removed since it was listed.
                if {*ids} <= {*self.ids_of(SERVICE)}:
                    raise

    def _named(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Return what is known of a container, with the names of its networks.

        Until it is started, one that the stack did not make may be there by its ID.
        """
        networks = facts["NetworkSettings"]["Networks"]
        if unnamed := [f"id={each}" for each in networks if ID.fullmatch(each)]:
            for each in self.objects("network", *unnamed):
                networks[each["Name"]] = networks.pop(each["Id"])
        return facts

    def create(self, file: Mapping[str, Any]) -> None:
        """Create the containers of a Compose file, and start none."""
        words = ("compose", "--file", "-", "--project-name", self.stack, "create")
        self.repeat(*words, "--no-build", text=json.dumps(file))

    def start(self, containers: Iterable[Container]) -> None:
        """Start containers, all at the same time."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: self.repeat("container", "start", each.id), containers))

    def restart_policy(self, policy: str, containers: Iterable[Container]) -> None:
        """Set the restart policy of containers."""
        if ids := [each.id for each in containers]:
            self.repeat("container", "update", f"--restart={policy}", *ids)

    def delete(self, ids: Iterable[str], *options: str) -> None:
        """Remove containers that have ended, with the volumes that have no name."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: self._delete(each, *options), ids))

    def _delete(self, container: str, *options: str) -> None:
        try:
            self.repeat("container", "rm", "--volumes", *options, container)
        except DockerError as error:
            # A command whose answer was lost may have removed it.
            if not any(sign in error.stderr.lower() for sign in GONE):
                raise

    def stopping(self, containers: Iterable[Container]) -> Stopping:
        """Begin to stop containers, each in its own time."""
        return Stopping(self, [each.id for each in containers if not each.ended])

    def log(self, container: str, lines: int | str = "all") -> list[str]:
        """Return the last lines that a container logged."""
        words = ("logs", "--tail", str(lines), container)
        read = partial(cli.run, self.ctx, *words, env=self.env, reads=True, merged=True)
        return again(read).splitlines()


class Stopping:
    """Stops containers; begins once more if the connection breaks meanwhile."""

    def __init__(self, server: Server, ids: Sequence[str]) -> None:
        self._server, self._words, self._tries = server, ("container", "stop", *ids), TRIES
        self._command = self._begin() if ids else None

    def _begin(self) -> subprocess.Popen[bytes]:
        self._tries -= 1
        return cli.popen(self._server.ctx, *self._words, env=self._server.env, stdout=DEVNULL)

    def ended(self) -> bool:
        """Return whether all have stopped. Raises TaskError when that failed."""
        if self._command is None:
            return True
        status = self._command.poll()
        if status and not self._tries:
            what = f"docker stop exited with {status}: the lines above say why"
            raise TaskError(what, "see docker ps there, then deploy again")
        if status:
            self._command = self._begin()
        return status == 0

    def wait(self) -> None:
        """Wait until all have stopped, or their stop failed."""
        if self._command:
            self._command.wait()
