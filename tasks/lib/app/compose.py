"""The app in Docker, by Compose: compose/base.yml and one overlay."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from .. import console
from ..docker import cli, client
from ..errors import TaskError
from ..project import contract
from ..project.settings import ROOT
from .base import Running, claim

if TYPE_CHECKING:
    from invoke import Context
    from python_on_whales import DockerClient

    from ..project.settings import Settings


def project_name(name: str, folder: Path, overlay: str) -> str:
    """A Compose project's name: of its own for each clone of the repository and each overlay."""
    slug = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")[:30]
    mark = hashlib.sha256(str(folder).encode()).hexdigest()[:4]
    return "-".join(part for part in (name, slug, mark, overlay) if part)


@dataclass(frozen=True)
class ComposeBackend:
    """The app as containers on the engine that answers.

    Args:
        image: the image's name, if it is not Compose that builds it.
        make: makes that image.
    """

    ctx: Context
    settings: Settings
    image: str = ""
    make: Callable[[], None] | None = None
    sqlite: ClassVar[bool] = False

    def _compose(self, overlay: str, **env: object) -> DockerClient:
        project = project_name(self.settings.project.name, ROOT, overlay)
        files = [ROOT / "compose/base.yml", ROOT / f"compose/{overlay}.yml"]
        ids = {"APP_UID": os.getuid(), "APP_GID": os.getgid()}
        variables = {key: str(value) for key, value in {**ids, **env}.items()}
        return client.compose(
            self.ctx, files, project, {"IMAGE": self.image or project, **variables}
        )

    def up(self, running: Running, fresh: bool) -> None:
        """Build and start the dev stack; wait until every service is healthy."""
        if fresh:
            self.down(volumes=True)
        if not self._serves(running.port):
            claim(running.port)
        project = self._compose(
            "dev",
            APP_PORT=running.port,
            DEBUG_PORT=running.debugport,
            DEBUGGER="1" if running.debugger else "",
        )
        status = client.attach(
            project, "up", "--build", "--detach", "--remove-orphans", "--wait",
            "--wait-timeout", str(self.settings.dev.timeout),
        )  # fmt: skip
        if status:
            why = self._why(project)
            project.compose.stop(timeout=5)
            raise TaskError(*why)

    def _serves(self, port: int) -> bool:
        """Whether this clone's own app is what holds the port."""
        for container in self._compose("dev").compose.ps([contract.APP]):
            published = (container.network_settings.ports or {}).values()
            ports = {each["HostPort"] for bound in published for each in bound or []}
            if str(port) in ports:
                return True
        return False

    def _why(self, project: DockerClient) -> tuple[str, str]:
        """What did not start, as a failure and its hint, after its last lines of log."""
        containers = project.compose.ps(all=True)
        if not containers:
            return "the image does not build: see above", "mend what it says, then inv dev again"
        for container in containers:
            state = container.state
            sick = state.health is not None and state.health.status != "healthy"
            if state.exit_code or state.status == "exited" or (state.running and sick):
                console.say(str(project.container.logs(container, tail=30)))
                how = "is not healthy" if state.running else f"exited with {state.exit_code}"
                service = (container.config.labels or {})["com.docker.compose.service"]
                return f"{service} {how}: its log is above", "mend it and run inv dev again"
        return "docker compose up failed: see above", "mend what it says, then inv dev again"

    def follow(self) -> None:
        """Print the log until interrupted."""
        self.logs(follow=True, tail=20)

    def down(self, volumes: bool = False) -> None:
        """Remove the containers and networks of the dev stack, and its volumes if asked."""
        project = self._compose("dev")
        project.compose.down(remove_orphans=True, volumes=volumes, timeout=5, quiet=True)

    def logs(self, follow: bool, tail: int) -> None:
        """Print the log of all services."""
        words = ["--follow"] if follow else []
        client.attach(self._compose("dev"), "logs", "--tail", str(tail), *words)

    def manage(self, words: list[str]) -> int:
        """Run manage.py in the running app, or in a container for this once."""
        project = self._compose("dev")
        tty = [] if sys.stdin.isatty() else ["-T"]
        running = any(each.state.running for each in project.compose.ps([contract.APP]))
        how = ["exec"] if running else ["run", "--rm", "--build"]
        return client.attach(project, *how, *tty, contract.APP, "python", "manage.py", *words)

    def psql(self) -> int:
        """Open psql in the database's container."""
        project = self._compose("dev")
        tty = [] if sys.stdin.isatty() else ["-T"]
        if not project.compose.ps([contract.DATABASE]):
            raise TaskError("the database is not running", "inv dev --detach")
        psql = 'psql -U "$POSTGRES_USER" "$POSTGRES_DB"'
        return client.attach(project, "exec", *tty, contract.DATABASE, "sh", "-c", psql)

    def test(self, words: list[str], keep: bool = False) -> int:
        """Run Python in the test stage, on PostgreSQL and Redis made for it."""
        project = self._compose("test")
        (ROOT / "reports").mkdir(exist_ok=True)
        tty = [] if sys.stdout.isatty() else ["-T"]
        # The servers start while the image is made.
        up = ["--progress", "quiet", "up", "--detach", contract.DATABASE, contract.REDIS]
        servers = cli.begin([*project.client_config.docker_compose_cmd, *up])
        try:
            if self.make:
                self.make()
            elif client.attach(project, "build", "--quiet", contract.APP):
                raise TaskError("the image does not build: see above", "mend what it says")
            servers.wait()
            return client.attach(project, "run", "--rm", *tty, contract.APP, "python", *words)
        finally:
            servers.wait()
            if not keep:
                project.compose.down(volumes=True, remove_orphans=True, timeout=0, quiet=True)
