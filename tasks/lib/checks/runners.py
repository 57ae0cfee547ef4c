"""The commands that run the app's tests: with pytest, Django's runner, or the project's own."""

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from ..app.base import Testing
from ..project.settings import ROOT, Settings
from .collected import NAMES

PYTEST, DJANGO = "pytest", "django"
REPORT = "reports/coverage.xml"


def command(paths: Sequence[str], testing: Testing, settings: Settings) -> list[str]:
    """Return the command of the settings' runner; whole suites must reach the coverage floor."""
    runner = settings.test.runner
    if runner == PYTEST:
        return [*pytest(paths, testing, "app"), *_pytest_coverage(testing, settings)]
    if runner == DJANGO:
        return [*_measured(testing, settings), "--", *_django(paths, testing, settings)]
    return shlex.split(runner)


def pytest(paths: Sequence[str], testing: Testing, part: str) -> list[str]:
    """Return the command of pytest, as far as both parts of the suite share it."""
    words = ["python", "-m", "pytest", *paths, "--rootdir=.", f"--junitxml=reports/{part}.xml"]
    words += ["-o", f"python_files={' '.join(NAMES)}"]
    words += ["-k", testing.pattern] if testing.pattern else []
    return words + (["-n", "auto"] if testing.parallel else [])


def _pytest_coverage(testing: Testing, settings: Settings) -> list[str]:
    words = [*(f"--cov={path}" for path in settings.app.code(ROOT)), "--cov-branch"]
    words += ["--cov-report=term:skip-covered", f"--cov-report=xml:{REPORT}"]
    words += ["--cov-report=html:reports/html"] if testing.html else []
    words += [f"--cov-fail-under={settings.test.floor}"] if testing.whole else []
    return words + (["--reuse-db"] if testing.keepdb else [])


def _measured(testing: Testing, settings: Settings) -> list[str]:
    words = ["python", "docker/measured.py", f"--xml={REPORT}"]
    words += [f"--source={path}" for path in settings.app.code(ROOT)]
    words += ["--html=reports/html"] if testing.html else []
    return words + ([f"--floor={settings.test.floor}"] if testing.whole else [])


def _django(paths: Sequence[str], testing: Testing, settings: Settings) -> list[str]:
    words = [settings.app.manager, "test", "--noinput"]
    words += ["--keepdb"] if testing.keepdb else []
    words += [f"-k={testing.pattern}"] if testing.pattern else []
    return [*words, *(label(path, settings.app.folder) for path in paths)]


def label(path: str, folder: str) -> str:
    """Return a path of a test as Django's runner takes it: a folder, or a module with dots."""
    file, _, name = path.removeprefix("./").partition("::")
    if not file.endswith(".py"):
        return file
    module = PurePosixPath(file).relative_to(folder).with_suffix("").as_posix().replace("/", ".")
    return ".".join(part for part in (module, *name.split("::")) if part)
