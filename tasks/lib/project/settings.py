"""The project's settings: invoke.yaml, typed, and validated as a whole when read."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from invoke import Context
from msgspec import Meta

from .. import redaction
from ..errors import ExitCode, TaskError
from . import names, places
from .app_settings import App, Process, Services
from .backup import Backup
from .fields import (
    DYNAMIC_NAME,
    IMAGE,
    MANY,
    Address,
    EnvironmentName,
    Name,
    Port,
    Seconds,
    Section,
    Variable,
)
from .messages import Messages, Receiver
from .places import Environment
from .server import Server

ROOT = Path(__file__).resolve().parents[3]
FILE = "invoke.yaml"
# Where the tasks write their reports.
REPORTS = ROOT / "reports"
# The secret with the address of a database that is not part of the stack.
ELSEWHERE = "DATABASE_URL"
# Where logs are sent. Docker starts no container if it cannot look a syslog server's name up.
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
LOGS = rf"^((syslog://{_BYTE}([.]{_BYTE}){{3}}|fluents?://[A-Za-z0-9.-]+):{_PORT})?$"
POSSIBLE = "syslog://IP:PORT (UDP, and no name), fluent://HOST:PORT, fluents://HOST:PORT (TLS)"
# Top-level keys that are Invoke's own.
INVOKE = {"run", "runners", "sudo", "tasks", "timeouts"}


class Project(Section, frozen=True):
    """The project's name, and where its source is."""

    name: Name
    source: Address


class Dev(Section, frozen=True):
    """How the app runs on this machine."""

    engine: Literal["auto", "docker", "host"]
    port: Port
    debugport: Port
    timeout: Annotated[int, Meta(ge=1)]
    monitoringport: Port = 9090


class Test(Section, frozen=True):
    """How the app's tests run, and what they must achieve."""

    __test__ = False
    floor: Annotated[int, Meta(ge=0, le=100)]
    runner: Annotated[str, Meta(min_length=1)] = "pytest"


Linter = Literal["ruff", "djlint", "hadolint", "shellcheck", "yamllint", "lint-imports"]


class Lint(Section, frozen=True):
    """What the linters leave out: files, as patterns, and whole tools."""

    exclude: list[str] = []
    without: list[
        Literal["ruff", "djlint", "hadolint", "shellcheck", "yamllint", "lint-imports"]
    ] = []


class Registry(Section, frozen=True):
    """The registry that stores the images."""

    image: Annotated[str, Meta(pattern=IMAGE, description="HOST[:PORT]/PATH, without a tag")]
    main: Annotated[str, Meta(min_length=1)]
    insecure: bool
    ca: str
    cache: list[
        Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="a stage of Dockerfile")]
    ]


class Monitoring(Section, frozen=True):
    """What is measured, and where errors, traces, logs and alerts go."""

    metrics: bool = False
    errors: bool = False
    traces: Annotated[float, Meta(ge=0, le=1)] = 0
    logs: Annotated[str, Meta(pattern=LOGS, description=f"{POSSIBLE}, or nothing")] = ""
    webhook: Receiver = ""


class Audit(Section, frozen=True):
    """What inv audit accepts, and where it looks up vulnerabilities."""

    database: Address
    licences: list[str]
    accepted: dict[str, Annotated[str, Meta(min_length=1)]]


class Deploy(Section, frozen=True):
    """How the app is deployed, the same for all environments."""

    path: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9_./-]+$", description="a path of A-Z, a-z, 0-9, _, ., / and -"),
    ]
    timeout: Seconds
    soak: Annotated[int, Meta(ge=0, le=3600)]
    keep: Annotated[int, Meta(ge=2, le=1000)]
    secrets: list[Variable]
    variables: dict[Variable, str | int] = {}
    backups: Annotated[int, Meta(ge=1, le=1000)] = 10
    joblimit: Seconds = 300
    recipients: list[str] = []


class Settings(Section, frozen=True):
    """All settings of invoke.yaml."""

    project: Project
    app: App
    dev: Dev
    test: Test
    audit: Audit
    registry: Registry
    deploy: Deploy
    environments: dict[EnvironmentName, Environment]
    server: Server = Server()
    lint: Lint = Lint()
    backup: Backup = Backup()
    messages: Messages = Messages()
    monitoring: Monitoring = Monitoring()
    services: Services = Services()
    processes: dict[Name, Process] = {}

    def environment(self, name: str) -> Environment:
        """Return an environment by name. Raises TaskError, with the nearest name, if unknown."""
        kind, _, own = name.partition("/")
        if name in self.environments and not name.endswith(MANY):
            return self.environments[name]
        if DYNAMIC_NAME.fullmatch(own) and kind + MANY in self.environments:
            return self.environments[kind + MANY]
        names = [each.replace("*", "NAME") for each in self.environments]
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        known = f"known: {', '.join(names)}"
        hint = f"did you mean --env={near[0]}?" if near else known
        what = f"unknown environment {name!r}" if name else "which environment?"
        raise TaskError(what, f"{hint} ({FILE} names them)", ExitCode.REFUSED)


def read_settings(ctx: Context, missing_ok: bool = False) -> Settings:
    """Return the settings of this run: invoke.yaml, overridden by the environment and an -f file.

    Raises TaskError, one line a problem, if a key is unknown or missing, or a value is wrong; with
    missing_ok not if -f or INVOKE_RUNTIME_CONFIG name a missing file, which Invoke ignores.
    """
    override = getattr(ctx.config, "_runtime_path", None)
    files = [Path(path) for path in (override, ROOT / FILE) if path]
    if not missing_ok and not files[0].is_file():
        # Otherwise a command meant for a removed lab would act on the real environment.
        hint = "inv lab.up if it was a lab's; else correct -f, or unset INVOKE_RUNTIME_CONFIG"
        raise TaskError(f"{files[0]} not found", hint, ExitCode.REFUSED)
    tops = dict.fromkeys([*Settings.__struct_fields__, *ctx.config._project, *ctx.config._runtime])
    merged = ctx.config._config
    values = {key: merged[key] for key in tops if key in merged and key not in INVOKE}
    wrong: Sequence[tuple[tuple[str, ...], str]] = ()
    try:
        settings = msgspec.convert(values, Settings)
        redaction.OWN.update(settings.deploy.secrets)
        known = settings.environments
        wrong = names.problems(settings.project.name, settings.deploy.secrets, known)
        wrong += places.problems(known, settings.monitoring.metrics)
        if not wrong:
            return settings
    except msgspec.ValidationError:
        pass
    from . import settings_errors

    there = [path for path in files if path.is_file()]
    problems = wrong or settings_errors.problems(values, Settings)
    lines = settings_errors.located(problems, there)
    raise TaskError("\ninv: ".join(lines), code=ExitCode.REFUSED)
