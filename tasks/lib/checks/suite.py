"""The test suite: the app's part and the pipeline's, run by pytest, and the result."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from invoke import Context

from .. import console, process
from ..app.backend import choose_backend
from ..app.base import Backend, Testing
from ..errors import ExitCode, TaskError
from ..project import requirements
from ..project.settings import ROOT, Settings

COVERAGE = ROOT / "reports/coverage.xml"
# pytest's exit statuses: https://docs.pytest.org/en/stable/reference/exit-codes.html
NO_TESTS = 5


def run(
    ctx: Context, settings: Settings, testing: Testing, engine: str, everything: bool, slow: bool
) -> None:
    """Run the app's tests and the pipeline's own. Raises TaskError, naming them, if tests fail."""
    backend, package = choose_backend(ctx, settings, engine), settings.project.package
    app_paths, pipeline_paths = split(testing.paths, package)
    failures = []
    if pipeline_paths:
        console.step("the pipeline's tests")
        failures += pipeline(ctx, pipeline_paths, testing, everything or slow, slow)
    if app_paths:
        console.step("the app's tests")
        failures += app(backend, app_paths, testing, settings)
    conclude(failures, package, counted=bool(app_paths))


def split(paths: Sequence[str], package: str) -> tuple[list[str], list[str]]:
    """Split paths into those of the app's tests and of the pipeline's; without paths, return all.

    Raises TaskError for a path that does not exist.
    """
    for path in paths:
        if not (ROOT / path.split("::")[0]).exists():
            what = f"no such test file or folder: {path}"
            raise TaskError(what, "give paths from the repository's root", ExitCode.REFUSED)
    if not paths:
        return [package], ["tests"] if (ROOT / "tests").is_dir() else []
    apps = [path for path in paths if path.removeprefix("./").split("/")[0] == package]
    return apps, [path for path in paths if path not in apps]


def options(testing: Testing) -> list[str]:
    """Return pytest's options that both parts of the suite share."""
    words = ["-k", testing.pattern] if testing.pattern else []
    return words + (["-n", "auto"] if testing.parallel else [])


def coverage(testing: Testing, package: str, floor: int) -> list[str]:
    """Return pytest-cov's options: branches count, and the whole suite has a minimum."""
    words = [f"--cov={package}", "--cov-branch", "--cov-report=term:skip-covered"]
    words.append("--cov-report=xml:reports/coverage.xml")
    if testing.html:
        words.append("--cov-report=html:reports/html")
    if not (testing.paths or testing.pattern):
        words.append(f"--cov-fail-under={floor}")
    return words


def pipeline(
    ctx: Context, paths: list[str], testing: Testing, everything: bool, slow: bool
) -> list[str]:
    """Run the pipeline's tests on this machine. Returns what failed.

    Args:
        everything: run also the tests that need an engine or a browser.
        slow: run also the slow ones among these.
    """
    if everything:
        requirements.install(ctx, "browser", "the browser tests")
    words = ["-m", "pytest", *paths, *options(testing), "--junitxml=reports/pipeline.xml"]
    words += ["-p", "no:django", "-W", "ignore::pytest.PytestConfigWarning"]
    if not slow:
        words += ["-m", "not slow" if everything else "not engine and not browser"]
    return _failures("the pipeline's tests", process.run(ctx, [sys.executable, *words]), testing)


def app(backend: Backend, paths: list[str], testing: Testing, settings: Settings) -> list[str]:
    """Run the app's tests where the app runs. Returns what failed."""
    package = settings.project.package
    # An earlier run's coverage must not be printed as this one's.
    COVERAGE.unlink(missing_ok=True)
    words = ["-m", "pytest", *paths, *options(testing), "--junitxml=reports/app.xml"]
    words += coverage(testing, package, settings.test.floor)
    words += ["--reuse-db"] if testing.keepdb else []
    return _failures("the app's tests", backend.test(words, testing.keepdb), testing)


def _failures(what: str, status: int, testing: Testing) -> list[str]:
    if status == NO_TESTS and testing.pattern:
        return []
    return [what] if status else []


def conclude(failures: list[str], package: str, counted: bool) -> None:
    """Print the coverage as the last line. Raises TaskError, naming them, if tests failed."""
    if counted and COVERAGE.is_file():
        covered = percent(COVERAGE.read_text())
        console.result(f"TOTAL coverage of {package}, branches counted: {covered}%")
    if failures:
        raise TaskError(f"failed: {' and '.join(failures)}", "see above")


def percent(report: str) -> int:
    """Return a Cobertura report's coverage of lines and branches, in per cent.

    As coverage.py does, it never rounds up to 100, nor down to 0.
    """
    head = re.search(r"<coverage [^>]*>", report)
    counts = dict(
        re.findall(r'((?:lines|branches)-(?:valid|covered))="(\d+)"', head[0] if head else "")
    )
    valid, covered = (
        int(counts.get(f"lines-{what}", 0)) + int(counts.get(f"branches-{what}", 0))
        for what in ("valid", "covered")
    )
    if covered in (0, valid):
        return 100 if covered == valid else 0
    return min(max(round(100 * covered / valid), 1), 99)
