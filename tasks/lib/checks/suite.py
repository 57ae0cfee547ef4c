"""The test suite: the app's part and the pipeline's, and the result."""

import re
import sys
from dataclasses import replace
from pathlib import PurePosixPath

from invoke import Context

from .. import console, files, process
from ..app.backend import choose_backend
from ..app.base import Backend, Testing
from ..errors import ExitCode, TaskError
from ..project import pipeline as own
from ..project import requirements
from ..project.pipeline import is_below
from ..project.settings import REPORTS, ROOT, Settings
from . import collected, runners

COVERAGE, REPORT = REPORTS / "coverage.xml", REPORTS / "app.xml"
# The folders of the pipeline's own tests, and of what makes projects from it.
PIPELINE, TEMPLATE = "tests", "template"
# pytest's exit statuses: https://docs.pytest.org/en/stable/reference/exit-codes.html
NO_TESTS = 5
# Those of the pipeline's tests that end soon, without a cluster of Kubernetes; and those of them
# that need no engine and no browser.
ALL, QUICK = "not slow and not cluster", "not engine and not browser and not slow"


def run(
    ctx: Context, settings: Settings, testing: Testing, engine: str, everything: bool, slow: bool
) -> None:
    """Run the app's tests and the pipeline's own. Raises TaskError, naming them, if tests fail."""
    backend = choose_backend(ctx, settings, engine)
    app_paths, pipeline_paths = split(testing, settings.app.code(ROOT))
    failures = []
    if app_paths:
        require_inside(settings)
    if pipeline_paths:
        console.step("the pipeline's tests")
        failures += pipeline(ctx, pipeline_paths, testing, everything or slow, slow)
    if app_paths:
        console.step("the app's tests")
        failures += app(backend, app_paths, testing, settings)
    conclude(failures, settings, counted=bool(app_paths))


def split(testing: Testing, packages: list[str]) -> tuple[list[str], list[str]]:
    """Split paths into the app's tests and the pipeline's; without paths, return all of both."""
    for path in testing.paths:
        if not (ROOT / path.split("::")[0]).exists():
            what = f"no such test file or folder: {path}"
            raise TaskError(what, "give paths from the repository's root", ExitCode.REFUSED)
    if not testing.paths:
        return packages, [] if testing.app else pipeline_folders(packages)
    apps = [path for path in testing.paths if is_below(path.split("::")[0], packages)]
    return apps, [path for path in testing.paths if path not in apps]


def pipeline_folders(packages: list[str]) -> list[str]:
    """Return the folder of the pipeline's own tests, where it is developed."""
    return [PIPELINE] if own.is_developed() and not is_below(PIPELINE, packages) else []


def require_inside(settings: Settings) -> list[PurePosixPath]:
    """Return the files with the app's tests. Raises TaskError if some lie outside of the app."""
    folders = [*pipeline_folders(settings.app.paths), *([TEMPLATE] if own.is_developed() else [])]
    return collected.require_inside(settings.app, folders)


def pipeline(
    ctx: Context, paths: list[str], testing: Testing, everything: bool, slow: bool
) -> list[str]:
    """Run the pipeline's tests on this machine. Returns what failed.

    Args:
        everything: run also the tests that need an engine or a browser.
        slow: run also the slow ones among these.
    """
    requirements.install(
        ctx, "lint", "kubernetes", "selftest", *(["browser"] if everything else [])
    )
    # An earlier run's result must not be taken for this one's.
    (files.own_folder(REPORTS) / "pipeline.xml").unlink(missing_ok=True)
    # The quick ones do not depend on each other; of the others, many need all of this machine.
    testing = replace(testing, parallel=testing.parallel or (testing.whole and not everything))
    words = [sys.executable, *runners.pytest(paths, testing, "pipeline")[1:]]
    words += ["-p", "no:django", "-W", "ignore::pytest.PytestConfigWarning"]
    chosen = "not cluster" if slow else ALL if everything else QUICK
    words += ["-m", chosen]
    return _failures("the pipeline's tests", process.run(ctx, words), testing)


def app(backend: Backend, paths: list[str], testing: Testing, settings: Settings) -> list[str]:
    """Run the app's tests where the app runs, with branch coverage. Returns what failed."""
    # An earlier run's reports must not be taken for this one's.
    files.own_folder(REPORTS)
    for report in (COVERAGE, REPORT):
        report.unlink(missing_ok=True)
    status = backend.test(runners.command(paths, testing, settings), testing.keepdb)
    if testing.whole and not status:
        _require_all(settings)
    return _failures("the app's tests", status, testing)


def _require_all(settings: Settings) -> None:
    """Check that every file with tests was collected. Raises TaskError if not."""
    expected = require_inside(settings)
    if settings.test.runner == runners.PYTEST and REPORT.is_file():
        collected.require_run(expected, REPORT.read_text("utf-8"))
    if settings.test.runner == runners.DJANGO:
        collected.require_discovered(expected, settings.app)


def _failures(what: str, status: int, testing: Testing) -> list[str]:
    return [what] if status and not (status == NO_TESTS and testing.pattern) else []


def conclude(failures: list[str], settings: Settings, counted: bool) -> None:
    """Print the coverage as the last line. Raises TaskError, naming them, if tests failed."""
    if counted and COVERAGE.is_file():
        covered = percent(COVERAGE.read_text())
        what = ", ".join(settings.app.packages)
        console.result(f"TOTAL coverage of {what}, branches counted: {covered}%")
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
