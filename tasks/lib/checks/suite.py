"""The test suite: the app's part and the pipeline's, run by pytest, and the result."""

import re
import sys
from collections.abc import Sequence

from invoke import Context

from .. import console, files, process
from ..app.backend import choose_backend
from ..app.base import Backend, Testing
from ..errors import ExitCode, TaskError
from ..project import requirements
from ..project.settings import REPORTS, ROOT, Settings

COVERAGE = REPORTS / "coverage.xml"
# pytest's exit statuses: https://docs.pytest.org/en/stable/reference/exit-codes.html
NO_TESTS = 5
# Those of the pipeline's tests that need no engine and no browser, and end soon.
QUICK = "not engine and not browser and not slow"


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
    """Split paths into the app's tests and the pipeline's; without paths, return all of both."""
    for path in paths:
        if not (ROOT / path.split("::")[0]).exists():
            what = f"no such test file or folder: {path}"
            raise TaskError(what, "give paths from the repository's root", ExitCode.REFUSED)
    if not paths:
        return [package], ["tests"] if (ROOT / "tests").is_dir() else []
    apps = [path for path in paths if path.removeprefix("./").split("/")[0] == package]
    return apps, [path for path in paths if path not in apps]


def _pytest(paths: list[str], testing: Testing, part: str) -> list[str]:
    """Return Python's words to run pytest, as far as both parts of the suite share them."""
    # An earlier run's result must not be taken for this one's.
    (files.own_folder(REPORTS) / f"{part}.xml").unlink(missing_ok=True)
    words = ["-m", "pytest", *paths, f"--junitxml=reports/{part}.xml"]
    words += ["-k", testing.pattern] if testing.pattern else []
    return words + (["-n", "auto"] if testing.parallel else [])


def pipeline(
    ctx: Context, paths: list[str], testing: Testing, everything: bool, slow: bool
) -> list[str]:
    """Run the pipeline's tests on this machine. Returns what failed.

    Args:
        everything: run also the tests that need an engine or a browser.
        slow: run also the slow ones among these.
    """
    requirements.install(ctx, "lint", "selftest", *(["browser"] if everything else []))
    words = [sys.executable, *_pytest(paths, testing, "pipeline")]
    words += ["-p", "no:django", "-W", "ignore::pytest.PytestConfigWarning"]
    if not slow:
        words += ["-m", "not slow" if everything else QUICK]
    return _failures("the pipeline's tests", process.run(ctx, words), testing)


def app(backend: Backend, paths: list[str], testing: Testing, settings: Settings) -> list[str]:
    """Run the app's tests where the app runs, with branch coverage. Returns what failed."""
    # An earlier run's coverage must not be printed as this one's.
    COVERAGE.unlink(missing_ok=True)
    words = [*_pytest(paths, testing, "app"), f"--cov={settings.project.package}", "--cov-branch"]
    words += ["--cov-report=term:skip-covered", "--cov-report=xml:reports/coverage.xml"]
    words += ["--cov-report=html:reports/html"] if testing.html else []
    if not (testing.paths or testing.pattern):
        words.append(f"--cov-fail-under={settings.test.floor}")
    words += ["--reuse-db"] if testing.keepdb else []
    return _failures("the app's tests", backend.test(words, testing.keepdb), testing)


def _failures(what: str, status: int, testing: Testing) -> list[str]:
    return [what] if status and not (status == NO_TESTS and testing.pattern) else []


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
    head = report.partition("<coverage ")[2].partition(">")[0]
    counts = re.findall(r'(?:lines|branches)-(valid|covered)="(\d+)"', head)
    valid, covered = (
        sum(int(number) for kind, number in counts if kind == wanted)
        for wanted in ("valid", "covered")
    )
    if covered in (0, valid):
        return 100 if covered == valid else 0
    return min(max(round(100 * covered / valid), 1), 99)
