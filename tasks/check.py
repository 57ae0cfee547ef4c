"""Check a change: tests, style, types, migrations, locked requirements, quality, audit."""

from __future__ import annotations

from invoke import Context, task

from .lib import console
from .lib.app.base import Testing
from .lib.checks import linters


@task(
    iterable=["path"],
    help={
        "engine": "docker (PostgreSQL and Redis), host (SQLite), or auto",
        "path": "run only this file or folder (repeatable), without a coverage minimum",
        "pattern": "run only tests that match, as pytest -k does, without a coverage minimum",
        "keepdb": "keep the test database for the next run",
        "parallel": "run one process per core",
        "cov-html": "also write reports/html",
        "image": "test this image of the registry (commit, tag, digest), and mark it as tested",
        "app": "run only the app's tests",
        "all": "also run the tests that need Docker or a browser",
        "slow": "like --all, plus the slow fault-injection tests",
    },
)
def test(
    ctx: Context,
    path: list[str],
    engine: str = "",
    pattern: str = "",
    keepdb: bool = False,
    parallel: bool = False,
    cov_html: bool = False,
    image: str = "",
    app: bool = False,
    all: bool = False,
    slow: bool = False,
) -> None:
    """Run the app's tests and the pipeline's own.

    Example: inv test --pattern clicks
    """
    from .lib.checks import image_tests, suite
    from .lib.project.settings import read_settings

    settings = read_settings(ctx)
    testing = Testing(tuple(path), pattern, keepdb, parallel, cov_html, app)
    if image:
        image_tests.run(ctx, settings, image, testing)
    else:
        suite.run(ctx, settings, testing, engine, all, slow)


@task
def lint(ctx: Context) -> None:
    """Check the style of Python, templates, Dockerfile, shell, YAML.

    Example: inv lint
    """
    from .lib.project.settings import read_settings

    linters.report(ctx, linters.checks(ctx, read_settings(ctx).lint))


@task
def format(ctx: Context) -> None:
    """Rewrite Python and templates in the project's style.

    Example: inv format
    """
    from .lib.project.settings import read_settings

    linters.report(ctx, linters.fixes(ctx, read_settings(ctx).lint), retry=True)


@task
def types(ctx: Context) -> None:
    """Check the types (mypy, django-stubs).

    Example: inv types
    """
    from .lib.project.settings import ROOT, read_settings

    app = read_settings(ctx).app
    env = app.environment(app.settings.test, ROOT)
    linters.report(ctx, linters.typing(ctx, app.code(ROOT)), env)


@task(help={"engine": "docker (PostgreSQL), host (SQLite, which hides some problems), or auto"})
def migrations(ctx: Context, engine: str = "") -> None:
    """Check the project's own apps for missing and unsafe migrations.

    Example: inv migrations
    """
    from .lib.app.backend import choose_backend
    from .lib.project.settings import read_settings

    settings = read_settings(ctx)
    backend = choose_backend(ctx, settings, engine)
    missing, unsafe = linters.migrations(settings.app.manager, backend.sqlite).items()
    statuses = {missing[0]: backend.test(missing[1], keep=True), unsafe[0]: backend.test(unsafe[1])}
    linters.conclude(statuses, 'inv manage "makemigrations" writes missing ones')


@task(help={"upgrade": "upgrade to the newest versions; without it, locked ones stay if they fit"})
def requirements(ctx: Context, upgrade: bool = False) -> None:
    """Lock requirements/*.in again, with hashes.

    Example: inv requirements --upgrade
    """
    from .lib.project import requirements

    changed = requirements.compile(ctx, upgrade)
    console.say(f"changed: {', '.join(changed)}" if changed else "nothing changed")


@task(auto_shortflags=False, help={"html": "also write reports/codequality.html"})
def quality(ctx: Context, html: bool = False) -> None:
    """Report style, complexity, duplicates and insecure code.

    Writes reports/codequality.json in GitLab's format. Fails if a finding is major or worse. The
    rules are in pyproject.toml. To accept a finding, mark it: "# noqa: RULE", or
    "jscpd:ignore-start" and "jscpd:ignore-end" around a duplicate.

    Example: inv quality --html
    """
    from .lib.checks import codequality, html_report, quality
    from .lib.project import requirements

    requirements.install(ctx, "lint", "checks")
    findings = quality.inspect(ctx)
    codequality.write(ctx, "codequality.json", codequality.gitlab(findings))
    if html:
        codequality.write(ctx, "codequality.html", html_report.page(findings))
    codequality.conclude(findings)


@task(auto_shortflags=False, help={"offline": "skip known vulnerabilities"})
def audit(ctx: Context, offline: bool = False) -> None:
    """Check for known vulnerabilities, wrong licences and secrets.

    Checks all locked packages for known vulnerabilities, the licences of those that ship, and every
    file for secrets. Fails, too, if the vulnerability database does not answer; --offline skips it.
    The section audit of invoke.yaml lists what is accepted; the comment "pragma: allowlist secret"
    marks a line that only looks like a secret.

    Example: inv audit
    """
    from .lib.checks import audit
    from .lib.project import requirements
    from .lib.project.settings import read_settings

    rules = read_settings(ctx).audit
    requirements.install(ctx, "lint", "checks")
    audit.conclude(audit.run(ctx, rules, offline))
