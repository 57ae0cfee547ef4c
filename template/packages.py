"""Which packages a project requires, by whatever tool it declares them, as lines of pip's."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

REQUIREMENTS = (
    *("requirements.txt", "requirements/production.txt", "requirements/prod.txt"),
    *("requirements/base.txt", "requirements/common.txt", "requirements.in"),
)
DEVELOPMENT = (
    *("requirements-dev.txt", "requirements_dev.txt", "dev-requirements.txt"),
    *("requirements-test.txt", "requirements/local.txt", "requirements/testing.txt"),
)
LOCKS = {"uv": "uv.lock", "poetry": "poetry.lock", "pdm": "pdm.lock"}
VERSION = re.compile(r"([\^~]?)(\d+(?:\.\d+)*)(\S*)")


class Declared(NamedTuple):
    """The tool, what the app requires, and what its development does."""

    tool: str
    requirements: tuple[str, ...] = ()
    development: tuple[str, ...] = ()


def declared(root: Path) -> Declared:
    """Return what a repository declares: pyproject.toml first, then files, then setup.cfg."""
    file = root / "pyproject.toml"
    project = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    poetry = project.get("tool", {}).get("poetry", {})
    if poetry.get("dependencies"):
        return _poetry(poetry)
    if "dependencies" in project.get("project", {}):
        tool = next((tool for tool, lock in LOCKS.items() if (root / lock).exists()), "pyproject")
        groups = project.get("dependency-groups", {}).values()
        development = (each for group in groups for each in group if isinstance(each, str))
        return Declared(tool, tuple(project["project"]["dependencies"]), tuple(development))
    if found := _first(root, REQUIREMENTS):
        return Declared("pip", found, _first(root, DEVELOPMENT))
    return _setup(root / "setup.cfg")


def _first(root: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first of some requirements files, as a line of a file in requirements/."""
    return tuple(f"-r ../{name}" for name in names if (root / name).is_file())[:1]


def _setup(file: Path) -> Declared:
    parser = configparser.ConfigParser(interpolation=None)
    if not parser.read(file, "utf-8"):
        return Declared("pip")
    lines = parser.get("options", "install_requires", fallback="").splitlines()
    return Declared("setuptools", tuple(line for line in lines if line.strip()))


def _poetry(poetry: dict[str, Any]) -> Declared:
    groups = [poetry.get("dev-dependencies", {})]
    groups += [each.get("dependencies", {}) for each in poetry.get("group", {}).values()]
    development = (line for group in groups for line in pinned(group))
    return Declared("poetry", tuple(pinned(poetry["dependencies"])), tuple(development))


def pinned(dependencies: dict[str, Any]) -> list[str]:
    """Return Poetry's dependencies as pip takes them."""
    return [f"{name}{_version(it)}" for name, it in dependencies.items() if name != "python"]


def _version(value: Any) -> str:
    """Return the extras and the range of a dependency."""
    if not isinstance(value, dict):
        return _range(str(value))
    extras = f"[{','.join(value['extras'])}]" if value.get("extras") else ""
    return extras + _range(value.get("version", "*"))


def _range(text: str) -> str:
    found = VERSION.fullmatch(text)
    if not found:
        return "" if text == "*" else text
    sign, version, rest = found.groups()
    if not sign:
        return f"=={version}{rest}"
    numbers = [int(each) for each in version.split(".")]
    nonzero = next((place for place, each in enumerate(numbers) if each), 0)
    place = nonzero if sign == "^" else min(1, len(numbers) - 1)
    limit = ".".join(map(str, [*numbers[:place], numbers[place] + 1]))
    return f">={version}{rest},<{limit}"
