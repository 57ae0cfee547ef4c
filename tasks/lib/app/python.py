"""The app's Python on this machine: the team's own .venv, else an environment from the locks."""

import subprocess
from functools import cache
from pathlib import Path

from invoke import Context

from ..errors import ExitCode, TaskError
from ..project import requirements
from ..project.settings import ROOT

# The first is the team's, which no task makes, changes or removes; the second is the pipeline's.
TEAM, OWN = ROOT / ".venv", ROOT / ".inv/app"
# The module by which an environment of the team is known to have a requirements file.
MODULES = {"app": "django", "test": "pytest_cov", "dev": "debugpy", "types": "mypy"}
HINT = "install it there, or move .venv away: then one is made from the locks"


def interpreter(ctx: Context, *names: str) -> str:
    """Return a Python with the packages of app.txt, and of other requirements files.

    Raises TaskError if it is the team's and lacks some.
    """
    python = TEAM / "bin/python"
    if not python.exists():
        return str(requirements.make(ctx, OWN, "app", *names))
    missing = [MODULES[name] for name in ("app", *names) if not _has(python, MODULES[name])]
    if missing:
        raise TaskError(f"{TEAM} has no {', '.join(missing)}", HINT, ExitCode.REFUSED)
    return str(python)


@cache
def _has(python: Path, module: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(not importlib.util.find_spec({module!r}))"
    return not subprocess.run([python, "-c", code], cwd=ROOT, check=False).returncode


def packages(python: str) -> str:
    """Return the folder with the packages of a Python."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    words = [python, "-c", code]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
