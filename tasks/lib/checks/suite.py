"""The test suite: the app's part and the pipeline's, as pytest runs them, and what came of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import console, process
from ..errors import ExitCode, TaskError
from ..project import requirements
from ..project.settings import ROOT

if TYPE_CHECKING:
    from invoke import Context

    from ..app.base import Backend, Testing
    from ..project.settings import Settings

COVERAGE = ROOT / "reports/coverage.xml"
# pytest's exit statuses: https://docs.pytest.org/en/stable/reference/exit-codes.html
NO_TESTS = 5


def split(paths: Sequence[str], package: str) -> tuple[list[str], list[str]]:
    """Which paths hold tests of the app, and which of the pipeline; without any, both.

    Raises TaskError for a path that is not there.
    """
    for path in paths:
        if not (ROOT / path.split("::")[0]).exists():
            raise TaskError(
                f"no such test file or folder: {path}", "paths start at the root", ExitCode.REFUSED
            )
    if not paths:
        return [package], ["tests"] if (ROOT / "tests").is_dir() else []
    apps = [path for path in paths if path.removeprefix("./").split("/")[0] == package]
    return apps, [path for path in paths if path not in apps]


def options(testing: Testing) -> list[str]:
    """What both parts of the suite take over from the command line."""
    words = ["-k", testing.pattern] if testing.pattern else []
    return words + (["-n", "auto"] if testing.parallel else [])


def coverage(testing: Testing, package: str, floor: int) -> list[str]:
    """pytest-cov's options: branches counted, reports for people and CI, a floor for the whole."""
    words = [f"--cov={package}", "--cov-branch", "--cov-report=term:skip-covered"]
    words.append("--cov-report=xml:reports/coverage.xml")
    if testing.html:
        words.append("--cov-report=html:reports/html")
    if not (testing.paths or testing.pattern):
        words.append(f"--cov-fail-under={floor}")
    return words


def pipeline(
    ctx: Context, paths: list[str], testing: Testing, everything: bool, slow: bool = False
) -> list[str]:
    """Run the pipeline's tests here. Returns what failed.

    Args:
        everything: those that need an engine or a browser, too.
        slow: of these also the slow ones.
    """
    everything = everything or slow
    if everything:
        requirements.install(ctx, "browser", "the browser tests")
    words = ["-m", "pytest", *paths, *options(testing), "--junitxml=reports/pipeline.xml"]
    words += ["-p", "no:django", "-W", "ignore::pytest.PytestConfigWarning"]
    if not slow:
        words += ["-m", "not slow" if everything else "not engine and not browser"]
    return _judge("the pipeline's tests", process.run(ctx, [sys.executable, *words]), testing)


def app(backend: Backend, paths: list[str], testing: Testing, settings: Settings) -> list[str]:
    """Run the app's tests where the app runs. Returns what failed."""
    package = settings.project.package
    # The figure of an earlier run is not told as this one's.
    COVERAGE.unlink(missing_ok=True)
    words = ["-m", "pytest", *paths, *options(testing), "--junitxml=reports/app.xml"]
    words += coverage(testing, package, settings.test.floor)
    words += ["--reuse-db"] if testing.keepdb else []
    return _judge("the app's tests", backend.test(words, testing.keepdb), testing)


def _judge(what: str, status: int, testing: Testing) -> list[str]:
    if status == NO_TESTS and testing.pattern:
        return []
    return [what] if status else []


def conclude(failures: list[str], package: str, counted: bool) -> None:
    """Print the coverage as the last line. Raises TaskError, naming them, when tests failed."""
    if counted and COVERAGE.is_file():
        covered = percent(COVERAGE.read_text())
        console.result(f"TOTAL coverage of {package}, branches counted: {covered}%")
    if failures:
        raise TaskError(f"failed: {' and '.join(failures)}", "see above")


def percent(report: str) -> int:
    """The whole per cent of lines and branches covered, of a Cobertura report; 100 only if all.

    Rounded as coverage.py does it: never up to 100, never down to 0.
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
