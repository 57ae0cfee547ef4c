"""The contract of the Django project with the pipeline: the section `app` of invoke.yaml."""

import os
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from .fields import Below, Callable, Module, OptionalBelow, OptionalModule, Probe, Section, UrlPath

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class SettingsModules(Section, frozen=True):
    """Django's settings module for each use: here, in tests, and in the released image."""

    dev: Module
    test: Module
    released: Module


class Probes(Section, frozen=True):
    """The paths that say whether the app works; without a probe, the page stands in for it.

    `version` is whether the probe `live` answers JSON with the commit that runs as "version".
    """

    live: Probe = ""
    ready: Probe = ""
    page: UrlPath = "/"
    version: bool = False


class Static(Section, frozen=True):
    """Where STATIC_ROOT is, and which modules collectstatic needs; without a list, all."""

    root: Below = "static"
    modules: list[Annotated[str, Meta(pattern=r"^[\w.*/-]+$")]] = []


class Services(Section, frozen=True):
    """The backing services; without a broker there is no Redis, and no worker nor beat.

    `postgres` is the major version of PostgreSQL.
    """

    database: Literal["postgres", "mariadb"] = "postgres"
    postgres: Literal[17, 18] = 17
    broker: Literal["redis", "valkey", "rabbitmq", "none"] = "redis"

    def overlays(self, root: Path, *uses: str) -> list[Path]:
        """Return the Compose files for services that are not those of compose/base.yml.

        Args:
            uses: also those for these uses alone: server, or an orchestrator.
        """
        names = [f"{key}-{getattr(self, key)}" for key in self.__struct_fields__]
        ends = ["", *(f"-{use}" for use in uses)]
        files = [root / f"compose/{name}{end}.yml" for name in names for end in ends]
        return [file for file in files if file.exists()]


class Process(Section, frozen=True):
    """A process of the app beside the web server; `home` binds it to the home node.

    The command is a role of the image, such as `worker`, or any command; default: its name.
    """

    command: Annotated[str, Meta(pattern=r"^(\S.*)?$", description="a command")] = ""
    queues: list[Annotated[str, Meta(pattern=r"^[\w.-]+$")]] = []
    replicas: Annotated[int, Meta(ge=0, le=1000)] = 1
    home: bool = False


class Frontend(Section, frozen=True):
    """A front-end that is built in an image of its own, such as Node's.

    The command runs in the folder, and writes to `output` below it; that goes into the app's image.
    """

    folder: Below
    image: Annotated[str, Meta(pattern=r"^\S+$", description="an image, such as node:22-slim")]
    command: Annotated[str, Meta(min_length=1)]
    output: Below

    def variables(self) -> dict[str, str]:
        """Return what the Dockerfile takes as ARG."""
        return {
            "APP_FRONTEND": "build",
            "APP_FRONTEND_IMAGE": self.image,
            "APP_FRONTEND_FOLDER": self.folder,
            "APP_FRONTEND_COMMAND": self.command,
            "APP_FRONTEND_OUTPUT": self.output,
        }


class App(Section, frozen=True):
    """The Django project: what the image, the Compose files and the tasks know of it."""

    packages: Annotated[list[Below], Meta(min_length=1)]
    settings: SettingsModules
    application: Callable
    folder: Below = "."
    manage: Below = "manage.py"
    server: Literal["uwsgi", "uvicorn"] = "uwsgi"
    celery: OptionalModule = ""
    python: Annotated[str, Meta(pattern=r"^3\.\d+$", description='"3.13"')] = "3.13"
    level: Level = "WARNING"
    probes: Probes = Probes()
    static: Static = Static()
    media: OptionalBelow = ""
    frontend: Frontend | None = None

    def path(self, name: str) -> str:
        """Return a path below the project's folder as seen from the repository's root."""
        return name if self.folder == "." else f"{self.folder}/{name}"

    @property
    def manager(self) -> str:
        """manage.py, from the repository's root."""
        return self.path(self.manage)

    @property
    def paths(self) -> list[str]:
        """The packages, from the repository's root."""
        return [self.path(name) for name in self.packages]

    def code(self, root: Path) -> list[str]:
        """Return those of the packages that have Python code; others have templates and such."""
        plain = {path for path in self.paths if (root / path).exists() and path[-3:] != ".py"}
        plain -= {path for path in plain if any((root / path).rglob("*.py"))}
        return [path for path in self.paths if path not in plain]

    def environment(self, module: str, root: Path) -> dict[str, str]:
        """Return where Django finds its settings and the app, before this shell's own."""
        folder = str(root / self.folder)
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH", "")]))
        return {"DJANGO_SETTINGS_MODULE": module, "PYTHONPATH": path, "MYPYPATH": folder}

    def variables(self) -> dict[str, str]:
        """Return what the Dockerfile takes as ARG; the Compose files hand it on to a build."""
        return {
            "PYTHON_VERSION": self.python,
            "APP_FOLDER": self.folder,
            "APP_MANAGE": self.manager,
            "APP_PACKAGES": " ".join(self.paths),
            "APP_SETTINGS": self.settings.released,
            "APP_SETTINGS_TEST": self.settings.test,
            "APP_SETTINGS_DEV": self.settings.dev,
            "APP_SERVER": self.server,
            "APP_APPLICATION": self.application,
            "APP_CELERY": self.celery,
            "APP_LEVEL": self.level,
            "APP_LIVE": self.probes.live,
            "APP_READY": self.probes.ready,
            "APP_PAGE": self.probes.page,
            "APP_STATIC": self.path(self.static.root),
            "APP_STATIC_MODULES": " ".join(self.static.modules),
            "APP_MEDIA": self.media and self.path(self.media),
            **(self.frontend.variables() if self.frontend else {}),
        }
