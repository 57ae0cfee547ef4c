"""A plan or a deploy as an HTML page in one file, for the artifacts of a CI's job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import console, files, pages, reports
from ..environments.lock import owner
from ..environments.releases import Release
from ..errors import ExitCode, explain
from ..messages.message import now
from ..reports import Failure, Report
from . import outcome
from .deployment import Deployment
from .outcome import Outcome
from .plan import Plan

# The artifacts of CI's jobs: see .gitlab-ci.yml.
DEPLOY, PLAN = "reports/deploy.html", "reports/plan.html"


class Page:
    """What is written to a file in the end: a report, or how far a deployment came."""

    def __init__(self, environment: str) -> None:
        self.environment = environment
        self._deployment: Deployment | None = None
        self._report: Report | None = None

    def of(self, deployment: Deployment) -> Deployment:
        """Note the deployment that the page is about, and return it."""
        self._deployment = deployment
        return deployment

    def show(self, report: Report, as_json: bool) -> None:
        """Print a report, which the page has, too; see reports.show."""
        self._report = report
        reports.show(report, as_json)

    def failed(self, error: BaseException) -> None:
        """Note why there is no other report."""
        problems = explain(error).split("\ninv: ")
        if self._deployment:
            self._report = outcome.read(self._deployment, problems)
        else:
            status = getattr(error, "code", ExitCode.FAILED)
            self._report = Failure(problems=problems, status=int(status))

    def text(self) -> str:
        """Return the page."""
        report = self._report
        title, state, good = _heading(self.environment, report)
        problems = "".join(map(pages.block, report.problems if report else []))
        parts = [f'<article class="{"good" if good else "bad"}">',
                 f"<h2>{pages.text(state)}</h2>\n{problems}</article>\n",
                 *_body(report),
                 f"<p>{pages.text(now())}, {pages.text(owner())}</p>\n"]  # fmt: skip
        return pages.page(title, "".join(parts))


@contextmanager
def written(file: str, environment: str, plan: bool = False) -> Iterator[Page]:
    """Give a page that is written to a file in the end, whatever that is.

    Without a file nothing is written, but in a job of a CI it is a file of its artifacts.
    """
    page, usual = Page(environment), PLAN if plan else DEPLOY
    file = file or (usual if console.is_ci() else "")
    try:
        yield page
    except BaseException as error:
        page.failed(error)
        raise
    finally:
        if file:
            files.write({file: page.text()})


def _heading(environment: str, report: Report | None) -> tuple[str, str, bool]:
    """Return a page's title, the state of what it is about, and whether that is good."""
    if isinstance(report, Plan):
        return f"Plan for {environment}", f"the stack {report.stack}: {report.state}", True
    kind = report.release.kind if isinstance(report, Outcome) and report.release else "deploy"
    title = f"{kind.capitalize()} of {environment}"
    if not isinstance(report, Outcome) or report.problems:
        made = report.release if isinstance(report, Outcome) else None
        return title, made.state if made and made.state != "running" else "failed", False
    state = "runs" if report.changed else "runs already: nothing to do"
    return title, f"release {report.release.number if report.release else '?'} {state}", True


def _body(report: Report | None) -> Iterator[str]:
    if isinstance(report, Outcome):
        yield _facts(report)
        yield from _plan(report.plan)
    if isinstance(report, Plan):
        yield from _plan(report)


def _facts(report: Outcome) -> str:
    """Return a table of what was deployed."""
    rows = [("environment", report.environment), ("URL", report.url), ("image", report.image)]
    if report.release:
        rows += _release(report.release)
    cells = (f"<tr><th>{name}<td>{pages.text(value)}\n" for name, value in rows if value)
    return f"<table>\n{''.join(cells)}</table>\n"


def _release(made: Release) -> list[tuple[str, str]]:
    return [
        ("release", f"{made.number} ({made.kind})"),
        ("commit", made.revision),
        ("by", made.by),
        ("began", made.began),
        ("took", f"{made.seconds} s" if made.seconds else ""),
        ("migrations", ", ".join(made.migrations)),
        ("irreversible", ", ".join(made.irreversible)),
        ("backup before", made.backup),
        ("note", made.note),
    ]


def _plan(plan: Plan) -> Iterator[str]:
    """Yield what changes, each with a heading."""
    stopped = [f"{name} stops before the new one starts" for name in plan.interrupted]
    parts = {
        "Stops for a moment": stopped,
        "Commits": plan.commits,
        "Changes": plan.changes,
        f"Changed by hand since release {plan.since}; a deploy repairs it": plan.drift or [],
    }
    for name, lines in parts.items():
        if lines:
            yield f"<h2>{pages.text(name)}</h2>\n{pages.block(chr(10).join(lines))}"
