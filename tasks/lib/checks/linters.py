"""The tools that check or rewrite code, as commands; one place runs and reports them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import console, process
from ..errors import TaskError
from ..project import git

if TYPE_CHECKING:
    from invoke import Context

Commands = dict[str, list[str]]
SHELLS = {b"sh", b"bash", b"dash"}


def checks(files: list[Path] | None = None) -> Commands:
    """The style checks for the files of the source; none where a kind of file is missing."""
    files = git.files() if files is None else files
    return _some(
        {
            "ruff check": (["check", "--quiet"], ["."]),
            "ruff format": (["format", "--check", "--quiet"], ["."]),
            "djlint": (["--lint", "--quiet"], _suffix(files, ".html")),
            "djlint format": (["--check", "--quiet"], _suffix(files, ".html")),
            "hadolint": ([], [str(path) for path in files if "Dockerfile" in path.name]),
            "shellcheck": ([], [str(path) for path in files if is_shell(path)]),
            "yamllint": (["--strict"], _suffix(files, ".yml", ".yaml")),
            "lint-imports": (["--no-cache"], _named(files, "pyproject.toml")),
        }
    )


def fixes(files: list[Path] | None = None) -> Commands:
    """The commands that rewrite Python and templates."""
    files = git.files() if files is None else files
    return _some(
        {
            "ruff check": (["check", "--fix", "--quiet"], ["."]),
            "ruff format": (["format", "--quiet"], ["."]),
            "djlint format": (["--reformat", "--quiet"], _suffix(files, ".html")),
        }
    )


def typing(package: str) -> Commands:
    """The type checks: the app with Django's plugin, and the pipeline."""
    return {"mypy": [process.tool("mypy"), package, "tasks"]}


MISSING_MIGRATIONS = ["manage.py", "makemigrations", "--check", "--dry-run"]
UNSAFE_MIGRATIONS = ["manage.py", "lintmigrations", "--no-cache", "--quiet", "ok", "ignore"]
# SQLite adds a column by copying the table, which hides whether the column has a default.
ON_SQLITE = ["--exclude-migration-tests", "NOT_NULL"]


def report(ctx: Context, commands: Commands) -> None:
    """Run all commands, a line for each. Raises TaskError with the names of those that failed."""
    conclude({name: process.run(ctx, command) for name, command in commands.items()})


def conclude(statuses: dict[str, int]) -> None:
    """Say of each check whether it passed. Raises TaskError with the names of those that failed."""
    for name, status in statuses.items():
        ended = console.colour("failed ", 31) if status else console.colour("ok     ", 32)
        console.say(f"{ended} {name}")
    if failed := [name for name, status in statuses.items() if status]:
        raise TaskError(f"failed: {', '.join(failed)}", "see above; inv format mends much of it")


def _suffix(files: list[Path], *suffixes: str) -> list[str]:
    return [str(path) for path in files if path.suffix in suffixes]


def _some(table: dict[str, tuple[list[str], list[str]]]) -> Commands:
    return {
        name: [process.tool(name.split()[0]), *words, *paths]
        for name, (words, paths) in table.items()
        if paths
    }


def is_shell(path: Path) -> bool:
    """Whether a file is a shell script: by its name or its first line."""
    if path.suffix == ".sh":
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        first = file.readline(64)
    return first.startswith(b"#!") and first.split()[-1].split(b"/")[-1] in SHELLS


def _named(files: list[Path], name: str) -> list[str]:
    """Options for a tool that reads its own configuration: none, where that file is missing."""
    return [f"--config={name}"] if any(path.name == name for path in files) else []
