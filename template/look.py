"""Looks at a Django project: what the section `app` of invoke.yaml has to say of it.

It reads text and syntax, and imports nothing of the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import packages

# Folders without code of the project.
SKIPPED = {"venv", "env", "node_modules", "build", "dist", "site-packages", "reports"}
# What a project may have beside its packages, and needs when it runs.
DATA = ("templates", "static", "assets", "locale", "fixtures")
# The usual names of settings modules, by use.
USES = {
    "dev": ("dev", "development", "local", "base"),
    "test": ("test", "tests", "testing", "ci", "dev", "development", "local", "base"),
    "released": ("prod", "production", "live", "base"),
}


@dataclass
class Found:
    """What is in a repository; None or empty for what is not, or what only its team knows."""

    folder: str | None = None
    settings: str | None = None
    dev: str | None = None
    test: str | None = None
    released: str | None = None
    packages: tuple[str, ...] = ()
    application: str | None = None
    server: str = "uwsgi"
    celery: str = ""
    broker: str = "none"
    database: str = "sqlite"
    runner: str = "django"
    page: str = "/"
    static: str = ""
    tool: str = "pip"
    requirements: tuple[str, ...] = ()
    development: tuple[str, ...] = ()
    ci: str = ""
    containers: tuple[str, ...] = ()
    reads_url: bool = False
    prints_mail: bool = False


def look(root: Path, known: dict[str, Any]) -> Found:
    """Return what a folder has; what is known already is taken as it is."""
    found = Found()
    steps = (_project, _settings, _packages, _code, _requirements, _around)
    for step in steps:
        step(root, found)
        for name, value in known.items():
            setattr(found, name, tuple(value) if isinstance(value, list) else value)
    return found


def unknown(found: Found) -> dict[str, str]:
    """Return the questions that only the project's team can answer, by the name of the answer."""
    asked = {
        "folder": "the folder with manage.py",
        "settings": "the settings module that manage.py uses, such as shop.settings",
        "application": "the application that the web server loads, such as shop.wsgi:application",
    }
    missing = {name: text for name, text in asked.items() if getattr(found, name) is None}
    if not found.packages:
        missing["packages"] = "the packages with the project's code, separated by commas"
    return missing


def _project(root: Path, found: Found) -> None:
    places = [path.parent for path in [*root.glob("manage.py"), *root.glob("*/manage.py")]]
    if len(places) == 1:
        found.folder = places[0].relative_to(root).as_posix()


def _settings(root: Path, found: Found) -> None:
    base = root / (found.folder or ".")
    with suppress(OSError):
        text = (base / "manage.py").read_text("utf-8")
        named = re.search(r"DJANGO_SETTINGS_MODULE[\"'], *[\"']([\w.]+)[\"']", text)
        found.settings = named[1] if named else None
    if not found.settings:
        return
    found.dev = found.test = found.released = found.settings
    package = base / found.settings.replace(".", "/")
    module = found.settings
    if not package.is_dir():
        package, module = package.parent, found.settings.rpartition(".")[0]
        if package.name not in ("settings", "config", "conf"):
            return
    there = {path.stem for path in package.glob("*.py")}
    for use, names in USES.items():
        if name := next((name for name in names if name in there), ""):
            setattr(found, use, f"{module}.{name}")


def _packages(root: Path, found: Found) -> None:
    base = root / (found.folder or ".")
    folders = [path for path in sorted(base.glob("[!._]*")) if path.is_dir()]
    own = [path for path in folders if path.name not in SKIPPED and any(path.glob("*.py"))]
    own = [path for path in own if (path / "__init__.py").exists() or path.name == "tests"]
    data = [path for path in folders if path.name in DATA and path not in own]
    found.packages = tuple(path.name for path in [*own, *data]) if own else ()


def code(root: Path, found: Found) -> Iterator[tuple[Path, str]]:
    """Return the project's Python files with their text, below its folder."""
    base = root / (found.folder or ".")
    for name in found.packages:
        for file in sorted((base / name).rglob("*.py")):
            yield file.relative_to(base), file.read_text("utf-8", "replace")


def _code(root: Path, found: Found) -> None:
    texts = dict(code(root, found))
    for name in ("wsgi", "asgi"):
        file = next((path for path in texts if path.name == f"{name}.py"), None)
        if file and found.application is None:
            found.application = f"{_dotted(file)}:application"
            found.server = "uwsgi" if name == "wsgi" else "uvicorn"
    tasks = next((path for path in texts if path.name == "celery.py"), None)
    found.celery = _dotted(tasks.parent) if tasks else ""
    found.broker = "redis" if found.celery else "none"
    everything = "\n".join(texts.values())
    found.reads_url = "DATABASE_URL" in everything
    mailers = r"MAILERS *= *{\s*['\"]default['\"]: *{\s*['\"]BACKEND['\"]: *['\"][\w.]+\.console\."
    found.prints_mail = bool(re.search(mailers, everything))
    engine = re.search(r"backends\.(postgresql|mysql|sqlite3)|(psycopg)", everything)
    kind = (engine[1] or engine[2]) if engine else "sqlite3"
    found.database = {"sqlite3": "sqlite", "psycopg": "postgresql"}.get(kind, kind)
    static = re.search(
        r"STATIC_ROOT *=.*?[\"']/?([\w./-]+?)/?[\"']\)* *$", everything, re.MULTILINE
    )
    found.static = static[1] if static else ""
    urls = "\n".join(text for path, text in texts.items() if path.name == "urls.py")
    urls = re.sub(r'"""[\s\S]*?"""|#.*', "", urls)
    if not re.search(r"path\( *[\"'][\"']|url\( *r?[\"']\^?\$?[\"']", urls):
        found.page = "/admin/login/" if "admin.site.urls" in urls else "/"


def _dotted(path: Path) -> str:
    return path.with_suffix("").as_posix().replace("/", ".")


def _requirements(root: Path, found: Found) -> None:
    declared = packages.declared(root)
    found.tool, found.requirements, found.development = declared
    pytest = (root / "pytest.ini").exists() or "[tool.pytest" in _text(root / "pyproject.toml")
    if pytest or any("pytest" in line for line in (*found.development, *found.requirements)):
        found.runner = "pytest"


def _around(root: Path, found: Found) -> None:
    found.ci = "gitlab" if (root / ".gitlab-ci.yml").exists() else ""
    if not found.ci and (root / ".github/workflows").is_dir():
        found.ci = "github"
    names = (
        "Dockerfile",
        "docker-compose.yml",
        "docker-compose.yaml",
        "compose.yml",
        "compose.yaml",
    )
    found.containers = tuple(name for name in names if (root / name).exists())


def _text(file: Path) -> str:
    return file.read_text("utf-8") if file.is_file() else ""
