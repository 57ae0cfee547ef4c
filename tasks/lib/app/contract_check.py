"""Checks the section `app` of invoke.yaml against the repository; each problem has lines to add."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..project import contract, requirements
from ..project.settings import ROOT, Settings
from . import examples

# The package that each server is in.
SERVERS = {"uwsgi": {"uwsgi", "pyuwsgi"}, "uvicorn": {"uvicorn"}}
# What the test runners need in requirements/test.txt.
RUNNERS = {"pytest": ("pytest", "pytest-django", "pytest-cov"), "django": ("coverage",)}
STAGES = {"runtime", "test", "dev"}
IGNORED = (".dev/", ".env", ".inv/", ".lab/", ".venv/", "reports/")


class Problem(NamedTuple):
    """What invoke.yaml says and the repository lacks: the key, why, what to do, lines to add."""

    key: str
    what: str
    fix: str
    lines: str = ""


def check(settings: Settings, root: Path = ROOT) -> list[Problem]:
    """Return everything that the pipeline needs of the repository and does not find."""
    parts = (_names, _applications, _frontend, _code, _packages, _files, _processes)
    return [problem for part in parts for problem in part(settings, root)]


def _names(settings: Settings, root: Path) -> Iterator[Problem]:
    app = settings.app
    if not (root / app.manager).is_file():
        lines = examples.manage(app)
        yield Problem("app.manage", f"{app.manager} not found", "add it, or set app.folder", lines)
    for path in app.paths:
        if not (root / path).exists():
            yield Problem("app.packages", f"{path} not found", "correct it in invoke.yaml")
    for use in app.settings.__struct_fields__:
        module = getattr(app.settings, use)
        if not _file(root / app.folder, module):
            fix = f"add the module, or correct app.settings.{use} in invoke.yaml"
            yield Problem(f"app.settings.{use}", f"no module {module}", fix, examples.SETTINGS)


def _applications(settings: Settings, root: Path) -> Iterator[Problem]:
    app = settings.app
    module, _, name = app.application.partition(":")
    if name not in _defined(_file(root / app.folder, module)):
        file, lines = f"{module.replace('.', '/')}.py", examples.application(app)
        yield Problem("app.application", f"no {name} in {file}", f"add to {app.path(file)}", lines)
    if app.celery and not _celery(root / app.folder, app.celery):
        file, lines = f"{app.celery.replace('.', '/')}/celery.py", examples.celery(app)
        yield Problem("app.celery", f"no Celery app in {app.celery}", f"add {file}", lines)


def _frontend(settings: Settings, root: Path) -> Iterator[Problem]:
    frontend = settings.app.frontend
    if frontend and not (root / frontend.folder).is_dir():
        fix = "add it, or leave out app.frontend"
        yield Problem("app.frontend", f"no folder {frontend.folder}", fix)


def _code(settings: Settings, root: Path) -> Iterator[Problem]:
    app, text = settings.app, _text(settings, root)
    for key in ("live", "ready"):
        path = getattr(app.probes, key)
        if path and path.strip("/") not in text:
            fix = f"add the view, or leave out app.probes.{key}"
            yield Problem(f"app.probes.{key}", f"no code has {path}", fix, examples.probe(path))
    if "DATABASE_URL" not in text:
        what, fix = "no code reads DATABASE_URL", "add it, with the password in DATABASE_PASSWORD"
        yield Problem("app.settings.released", what, fix, examples.DATABASE)
    if "STATIC_ROOT" not in text:
        fix = f"add it to {app.settings.released}"
        yield Problem("app.static", "no STATIC_ROOT in the settings", fix, examples.static(app))


def _packages(settings: Settings, root: Path) -> Iterator[Problem]:
    wanted = {"app": [SERVERS[settings.app.server]], "test": []}
    wanted["app"] += [{"celery"}] if settings.app.celery else []
    wanted["app"] += [{name} for name in _watching(settings)]
    wanted["test"] += [{name} for name in RUNNERS.get(settings.test.runner, ())]
    for name, choices in wanted.items():
        file = f"requirements/{name}"
        if not (root / f"{file}.txt").is_file():
            yield Problem(file, f"{file}.txt not found", f"write {file}.in, then inv requirements")
            continue
        locked = {pin.name.lower() for pin in requirements.read(root / f"{file}.txt")}
        for choice in (each for each in choices if not each & locked):
            package = max(choice)
            fix = f"add to {file}.in, then inv requirements"
            yield Problem(file, f"{package} is not in {file}.txt", fix, package)


def _watching(settings: Settings) -> Iterator[str]:
    """Yield the packages that monitoring needs."""
    if settings.monitoring.metrics:
        yield "prometheus-client"
    if settings.monitoring.errors:
        yield "sentry-sdk"
    if settings.monitoring.traces:
        yield from ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
        yield "opentelemetry-instrumentation-django"
        if settings.app.server == "uvicorn":
            yield "opentelemetry-instrumentation-asgi"
        if settings.app.celery:
            yield "opentelemetry-instrumentation-celery"


def _files(settings: Settings, root: Path) -> Iterator[Problem]:
    file = root / "Dockerfile"
    text = file.read_text("utf-8") if file.is_file() else ""
    stages = {*re.findall(r"^FROM .* AS (\S+)", text, re.M)}
    if missing := (STAGES | {*settings.registry.cache}) - stages:
        what = f"no stage {', '.join(sorted(missing))}" if text else "not found"
        yield Problem("Dockerfile", what, "restore the pipeline's, or correct registry.cache")
    ignore = root / ".gitignore"
    known = ignore.read_text("utf-8").split() if ignore.is_file() else []
    plain = {line.strip("/*") for line in known}
    if left := [name for name in IGNORED if name.strip("/") not in plain]:
        yield Problem(".gitignore", f"lacks {', '.join(left)}", "add", "\n".join(left))


def _processes(settings: Settings, root: Path) -> Iterator[Problem]:
    celery = bool(settings.app.celery) and settings.services.broker != "none"
    for name, process in settings.processes.items():
        role = (process.command or name).split()[0]
        if role in (contract.WORKER, contract.BEAT) and not celery:
            fix = "set app.celery and services.broker, or remove the process"
            yield Problem(f"processes.{name}", f"{role} has no Celery app or no broker", fix)


def _file(folder: Path, module: str) -> Path | None:
    """Return the file of a module; None if there is none."""
    path = folder / module.replace(".", "/")
    files = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _defined(file: Path | None) -> set[str]:
    """Return the names that a module has at its top level."""
    names = set[str]()
    for node in ast.parse(file.read_text("utf-8")).body if file else []:
        names |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        names |= {each.asname or each.name for each in getattr(node, "names", [])}
        names |= {getattr(node, "name", "")}
    return names


def _celery(folder: Path, module: str) -> bool:
    """Return whether celery -A finds an app: in the module, or in its module celery."""
    names = {"app", "celery"}
    return any(names & _defined(_file(folder, each)) for each in (f"{module}.celery", module))


def _text(settings: Settings, root: Path) -> str:
    """Return the code of the app, without its tests."""
    files = [file for path in settings.app.paths for file in sorted((root / path).rglob("*.py"))]
    own = [file for file in files if "tests" not in PurePosixPath(file).parts]
    return "\n".join(file.read_text("utf-8", "replace") for file in own)
