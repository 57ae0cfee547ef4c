"""The tools that check or rewrite code, as commands; `report` runs them."""

from pathlib import Path

from invoke import Context

from .. import console, process
from ..errors import TaskError
from ..project import git

Commands = dict[str, list[str]]
SHELLS = {b"sh", b"bash", b"dash"}


def checks() -> Commands:
    """Return the style checks; none for a kind of file that the source does not have."""
    files = git.files()
    config = ["--config=pyproject.toml"] if Path("pyproject.toml") in files else []
    return _some(
        {
            "ruff check": (["check", "--quiet"], ["."]),
            "ruff format": (["format", "--check", "--quiet"], ["."]),
            "djlint": (["--lint", "--quiet"], _suffix(files, ".html")),
            "djlint format": (["--check", "--quiet"], _suffix(files, ".html")),
            "hadolint": ([], [str(path) for path in files if "Dockerfile" in path.name]),
            "shellcheck": ([], [str(path) for path in files if is_shell(path)]),
            "yamllint": (["--strict"], _suffix(files, ".yml", ".yaml")),
            "lint-imports": (["--no-cache"], config),
        }
    )


def fixes() -> Commands:
    """Return the commands that rewrite Python and templates."""
    return _some(
        {
            "ruff check": (["check", "--fix", "--quiet"], ["."]),
            "ruff format": (["format", "--quiet"], ["."]),
            "djlint format": (["--reformat", "--quiet"], _suffix(git.files(), ".html")),
        }
    )


def typing(package: str) -> Commands:
    """Return the type checks, of the app and of the pipeline."""
    return {"mypy": [process.tool("mypy"), package, "tasks"]}


def migrations(sqlite: bool) -> Commands:
    """Return Python's words for each check of the migrations of the project's own apps."""
    # SQLite adds a column by copying the table, which hides that the column has no default.
    calls = {"missing": "()", "unsafe": "('NOT_NULL')" if sqlite else "()"}
    # Django's shell has the settings that manage.py chooses.
    shell = ["manage.py", "shell", "--verbosity=0", "--command"]
    load = "import runpy; runpy.run_path('docker/own_migrations.py')"
    return {
        f"{name} migrations": [*shell, f"{load}['{name}']{words}"] for name, words in calls.items()
    }


def report(ctx: Context, commands: Commands) -> None:
    """Run all commands, and print a line for each. Raises TaskError if some fail."""
    conclude({name: process.run(ctx, command) for name, command in commands.items()})


def conclude(statuses: dict[str, int], hint: str = "inv format may fix it") -> None:
    """Print whether each check passed. Raises TaskError, naming them, if some failed."""
    for name, status in statuses.items():
        console.outcome(name, not status)
    if failed := [name for name, status in statuses.items() if status]:
        raise TaskError(f"failed: {', '.join(failed)}", f"see above; {hint}")


def _suffix(files: list[Path], *suffixes: str) -> list[str]:
    return [str(path) for path in files if path.suffix in suffixes]


def _some(table: dict[str, tuple[list[str], list[str]]]) -> Commands:
    return {
        name: [process.tool(name.split()[0]), *words, *paths]
        for name, (words, paths) in table.items()
        if paths
    }


def is_shell(path: Path) -> bool:
    """Return whether a file is a shell script, by its suffix or its first line."""
    if path.suffix:
        return path.suffix == ".sh"
    with path.open("rb") as file:
        first = file.readline(64)
    return first.startswith(b"#!") and first.split()[-1].split(b"/")[-1] in SHELLS
