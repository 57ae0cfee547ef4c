"""The tools that check or rewrite code, as commands; `report` runs them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from invoke import Context

from .. import console, process
from ..errors import TaskError
from ..project import git, pipeline

if TYPE_CHECKING:
    from ..project.settings import Lint

Commands = dict[str, list[str]]
# What promtool does with the alerts: it fires each of them.
RULES = ["test", "rules", "compose/monitoring/rules.test.yml"]
HINTS = {
    "": "no package of it for this platform could be installed",
    "promtool": "install Debian's package prometheus",
}
SHELLS = {b"sh", b"bash", b"dash"}


def checks(ctx: Context, lint: Lint) -> Commands:
    """Install the linters, and return the style checks of the kinds of file in the source."""
    from ..project import requirements

    requirements.install(ctx, "lint")
    if not all(Path(process.tool(name)).exists() for name in ("hadolint", "shellcheck")):
        requirements.install_some(ctx, "binaries")
    files = _files(lint)
    config = ["--config=pyproject.toml"] if _has_contracts(Path("pyproject.toml")) else []
    return _some(
        lint,
        {
            "ruff check": (["check", "--quiet"], _python(lint)),
            "ruff format": (["format", "--check", "--quiet"], _python(lint)),
            "djlint": (["--lint", "--quiet"], _suffix(files, ".html")),
            "djlint format": (["--check", "--quiet"], _suffix(files, ".html")),
            "hadolint": ([], [str(path) for path in files if is_dockerfile(path)]),
            "shellcheck": ([], [str(path) for path in files if is_shell(path)]),
            "yamllint": (["--strict"], _suffix(files, ".yml", ".yaml")),
            "lint-imports": (["--no-cache"], config),
        },
    ) | ({"promtool": [which("promtool") or "promtool", *RULES]} if pipeline.is_developed() else {})


def fixes(ctx: Context, lint: Lint) -> Commands:
    """Install the linters, and return the commands that rewrite Python and templates."""
    from ..project import requirements

    requirements.install(ctx, "lint")
    return _some(
        lint,
        {
            # Which lines stay too long, the formatter decides next.
            "ruff check": (["check", "--fix", "--quiet", "--extend-ignore=E501"], _python(lint)),
            "ruff format": (["format", "--quiet"], _python(lint)),
            "djlint format": (["--reformat", "--quiet"], _suffix(_files(lint), ".html")),
        },
    )


def _has_contracts(file: Path) -> bool:
    return file.is_file() and "[tool.importlinter]" in file.read_text("utf-8")


def _files(lint: Lint) -> list[Path]:
    """Return the project's own files in the source, without what the settings exclude."""
    own = pipeline.without(git.files())
    return [path for path in own if not any(path.match(each) for each in lint.exclude)]


def _python(lint: Lint) -> list[str]:
    """Return what ruff checks: all but what the settings exclude and what the project only uses."""
    left_out = [*lint.exclude, *pipeline.foreign()]
    return [*(f"--extend-exclude={pattern}" for pattern in left_out), "."]


def typing(ctx: Context, paths: list[str]) -> Commands:
    """Return the type checks: of the app, and of the pipeline with its packages if it is here."""
    from ..app import python
    from ..project import requirements

    if pipeline.is_developed():
        requirements.install(ctx, "kubernetes")
    mypy = [python.interpreter(ctx, "test", "types"), "-m", "mypy"]
    found = {f"mypy {' '.join(paths)}": [*mypy, *paths]}
    own = {"mypy tasks": [*mypy, f"--python-executable={sys.executable}", "tasks"]}
    return found | (own if pipeline.is_developed() else {})


def migrations(manager: str, sqlite: bool) -> Commands:
    """Return the commands that check the migrations of the project's own apps."""
    # SQLite adds a column by copying the table, which hides that the column has no default.
    calls = {"missing": "()", "unsafe": "('NOT_NULL')" if sqlite else "()"}
    shell = ["python", manager, "shell", "--verbosity=0", "--command"]
    load = "import runpy; runpy.run_path('docker/own_migrations.py')"
    return {
        f"{name} migrations": [*shell, f"{load}['{name}']{words}"] for name, words in calls.items()
    }


def report(
    ctx: Context, commands: Commands, env: Mapping[str, str] | None = None, retry: bool = False
) -> None:
    """Run all commands, and print a line for each. Raises TaskError if some fail.

    A linter that this platform has no package of does not run; with CI=true, that is a failure.
    Without promtool, which pip does not install, there is a warning.

    Args:
        env: variables on top of this process's own.
        retry: run a command again if it fails, as djlint does when it has rewritten a file.
    """
    absent = [] if ctx.config.run.dry else [k for k, it in commands.items() if not which(it[0])]
    for name in absent:
        console.warn(f"not run: {name}: {HINTS.get(name, HINTS[''])}")
    statuses = {}
    for name in (name for name in commands if name not in absent):
        status = process.run(ctx, commands[name], env)
        statuses[name] = process.run(ctx, commands[name], env) if status and retry else status
    wanting = [name for name in absent if name not in HINTS]
    conclude(statuses | (dict.fromkeys(wanting, 1) if console.is_ci() else {}))


def conclude(statuses: dict[str, int], hint: str = "inv format may fix it") -> None:
    """Print whether each check passed. Raises TaskError, naming them, if some failed."""
    for name, status in statuses.items():
        console.outcome(name, not status)
    if failed := [name for name, status in statuses.items() if status]:
        raise TaskError(f"failed: {', '.join(failed)}", f"see above; {hint}")


def _suffix(files: list[Path], *suffixes: str) -> list[str]:
    return [str(path) for path in files if path.suffix in suffixes]


def _some(lint: Lint, table: dict[str, tuple[list[str], list[str]]]) -> Commands:
    return {
        name: [process.tool(name.split()[0]), *words, *paths]
        for name, (words, paths) in table.items()
        if paths and name.split()[0] not in lint.without
    }


def is_dockerfile(path: Path) -> bool:
    """Return whether a file is a Dockerfile, by its name."""
    return "Dockerfile" in path.name and path.suffix != ".dockerignore"


def is_shell(path: Path) -> bool:
    """Return whether a file is a shell script, by its suffix or its first line."""
    if path.suffix:
        return path.suffix == ".sh"
    with path.open("rb") as file:
        first = file.readline(64)
    return first.startswith(b"#!") and first.split()[-1].split(b"/")[-1] in SHELLS
