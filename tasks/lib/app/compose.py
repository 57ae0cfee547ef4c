"""The app in Docker, by Compose: compose/base.yml and one overlay."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import ClassVar, TextIO

from invoke import Context

from .. import console, files, process
from ..docker.compose import Project, project_name
from ..errors import TaskError
from ..project import contract
from ..project.app_settings import Process
from ..project.settings import REPORTS, ROOT, Settings
from .base import Asked, Running, claim

# Where a dump is in the database's container, and how it takes the place of the database. $0 is
# PORTABLE: the dump may be of an older version.
PULLED, PORTABLE = "/var/lib/postgresql/pulled.dump", ROOT / "docker/data/portable.sed"
LOAD = (
    f"trap 'rm -f {PULLED} {PULLED}.sql' EXIT; "
    'export PGUSER="$POSTGRES_USER"; '
    'dropdb --if-exists --force "$POSTGRES_DB"; createdb "$POSTGRES_DB"; '
    f"set -- --no-owner --no-acl {PULLED}; "
    f'pg_restore --section=pre-data --file={PULLED}.sql "$@"; '
    f'sed --regexp-extended --in-place "$0" {PULLED}.sql; '
    'export PGDATABASE="$POSTGRES_DB"; '
    f"psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file={PULLED}.sql >/dev/null; "
    'pg_restore --section=data --section=post-data --dbname="$PGDATABASE" --exit-on-error "$@"'
)
# The database's own shell; with an argument, it runs that.
SHELL = """command -v psql >/dev/null || exec mariadb ${1:+--execute="$1"} app
psql -U "$POSTGRES_USER" "$POSTGRES_DB" ${1:+--command="$1"}"""


@dataclass(frozen=True)
class ComposeBackend:
    """The app as containers; `make` builds the image with a name that Compose does not build."""

    ctx: Context
    settings: Settings
    image: str = ""
    make: Callable[[], None] | None = None
    sqlite: ClassVar[bool] = False

    def _project(self, overlay: str, monitoring: bool = False, **env: object) -> Project:
        name = project_name(self.settings.project.name, ROOT, overlay)
        more = ("monitoring", "monitoring-dev") if monitoring else ()
        files = [ROOT / f"compose/{each}.yml" for each in ("base", overlay, *more)]
        files += self.settings.services.overlays(ROOT)
        variables = {"IMAGE": self.image or name, "APP_UID": os.getuid(), "APP_GID": os.getgid()}
        variables |= self.settings.app.variables() | env
        return Project(self.ctx, files, name, {key: str(value) for key, value in variables.items()})

    @property
    def _backing(self) -> list[str]:
        """The services that the app needs."""
        redis = [] if self.settings.services.broker == "none" else [contract.REDIS]
        return [contract.DATABASE, *redis]

    @property
    def _workers(self) -> list[Process]:
        """The processes that take jobs; dev runs one worker for all of them."""
        known = self.settings.processes.items()
        return [
            each for name, each in known if (each.command or name).split()[0] == contract.WORKER
        ]

    @property
    def _monitoring(self) -> list[str]:
        """The services that watch the app, and its backing services if they know them."""
        postgres = self.settings.services.database == "postgres"
        redis = self.settings.services.broker != "none"
        return [
            *("prometheus", "alertmanager", "node-exporter", "blackbox-exporter"),
            *(["postgres-exporter"] if postgres else []),
            *(["redis-exporter"] if redis else []),
        ]

    @property
    def _queues(self) -> str:
        """The queues of all workers; empty if none names any, then Celery knows."""
        named = any(each.queues for each in self._workers)
        queues = [queue for each in self._workers for queue in each.queues or [contract.QUEUE]]
        return ",".join(queues) if named else ""

    def up(self, running: Running, fresh: bool) -> None:
        """Build and start the dev stack; wait until every service is healthy."""
        if fresh:
            self.down(volumes=True)
        before = self._project("dev").containers()
        for port in filter(None, (running.port, running.monitoring)):
            if not any(str(port) in found.ports for found in before):
                claim(port)
        values: dict[str, object] = {"APP_PORT": running.port, "DEBUG_PORT": running.debugport}
        values |= {"WORKER_QUEUES": self._queues, "DEBUGGER": "1" if running.debugger else ""}
        if running.monitoring:
            values |= {"METRICS": contract.METRICS, "MONITORING_PORT": running.monitoring}
        project = self._project("dev", bool(running.monitoring), **values)
        status = project.stream(
            "up", "--build", "--detach", "--remove-orphans", "--wait",
            "--wait-timeout", str(self.settings.dev.timeout),
            contract.APP, *([contract.WORKER] if self._workers else []),
            *(self._monitoring if running.monitoring else []),
        )  # fmt: skip
        if status:
            what = _failure(project, {found.started for found in before})
            project.run("stop", "--timeout", "5")
            raise TaskError(what, "fix it, then run inv dev again")

    def down(self, volumes: bool = False) -> None:
        """Remove the containers and networks of the dev stack, and its volumes if asked."""
        options = ["--volumes"] if volumes else []
        self._project("dev", True).run("down", "--remove-orphans", "--timeout", "5", *options)

    def logs(self, asked: Asked) -> None:
        """Print the log of one service, or of all."""
        project = self._project("dev")
        words = [f"--tail={asked.tail or 'all'}", f"--since={asked.since}"]
        words += ["--follow"] if asked.follow else []
        words += [project.known(asked.service)] if asked.service else []
        if asked.patterns:
            child = project.popen("logs", "--no-color", *words, stdout=PIPE)
            for line in filter(asked.has, process.lines([child])):
                console.result(line)
        else:
            project.stream("logs", *words)

    def manage(self, words: list[str]) -> int:
        """Run manage.py in the running app, or in a one-off container."""
        project = self._project("dev")
        running = any(app.running for app in project.containers(contract.APP))
        how = ["exec"] if running else ["run", "--rm", "--build"]
        words = ["python", self.settings.app.manager, *words]
        return project.stream(*how, *_tty(sys.stdin), contract.APP, *words)

    def psql(self, command: str) -> int:
        """Open the database's shell in its container, or run a command of SQL there."""
        project = self._project("dev")
        if not any(db.running for db in project.containers(contract.DATABASE)):
            raise TaskError("the database is not running", "inv dev --detach")
        run = ("sh", "-c", SHELL, "sh", command)
        return project.stream("exec", *_tty(sys.stdin), contract.DATABASE, *run)

    def load(self, dump: Path) -> None:
        """Replace the database in its container by a dump, and start it if it does not run.

        Args:
            dump: a file of pg_dump's custom format, of this version of PostgreSQL or an older one.
        """
        project = self._project("dev")
        project.run("up", "--detach", "--wait", contract.DATABASE)
        project.run("cp", str(dump), f"{contract.DATABASE}:{PULLED}")
        words = ("sh", "-ec", LOAD, PORTABLE.read_text("utf-8"))
        project.run("exec", "-T", contract.DATABASE, *words)

    def test(self, words: list[str], keep: bool = False) -> int:
        """Run a command in the test stage, with PostgreSQL and Redis of its own."""
        project = self._project("test")
        files.own_folder(REPORTS)
        # The servers start while the image is built.
        up = ("--progress", "quiet", "up", "--detach")
        servers = project.popen(*up, *self._backing)
        try:
            if self.make:
                self.make()
            elif project.stream("build", "--quiet", contract.APP):
                raise TaskError("the image build failed: see above", "fix it, then retry")
            servers.wait()
            return project.stream("run", "--rm", *_tty(sys.stdout), contract.APP, *words)
        finally:
            servers.wait()
            if not keep:
                project.run("down", "--volumes", "--remove-orphans", "--timeout", "0")


def _tty(terminal: TextIO) -> list[str]:
    return [] if terminal.isatty() else ["-T"]


def _failure(project: Project, before: set[str]) -> str:
    """Return why a project did not start, after printing the log of the service that failed.

    A container that ended after a start `before` this one failed then, and not now.
    """
    found = project.containers()
    containers = [each for each in found if each.running or each.started not in before]
    if not containers:
        return "no container was started: see above"
    for container in containers:
        unhealthy = container.running and container.health not in ("", "healthy")
        if container.exit_code or container.status == "exited" or unhealthy:
            console.say(project.logs(container, 30))
            state = "is unhealthy" if unhealthy else f"exited with {container.exit_code}"
            return f"{container.service} {state}: see its log above"
    return "docker compose up failed: see above"
