"""What must hold before a change goes on: tests, style, types, migrations, locked requirements."""

from __future__ import annotations

from invoke import Context, task
from invoke.exceptions import Exit


@task(
    iterable=["path"],
    help={
        "engine": "docker (PostgreSQL and Redis), host (SQLite), or auto",
        "path": "only this file or folder (again for more); no coverage floor then",
        "pattern": "only tests whose names match, as pytest -k has it; no coverage floor then",
        "keepdb": "keep the test database for the next run",
        "parallel": "one process per core",
        "cov-html": "write reports/html too",
        "image": "test this image of the registry (commit, tag, digest), and mark it as tested",
        "all": "the tests of the pipeline in Docker and in a browser as well (needs an engine)",
        "slow": "these, and of deploys that meet a fault all the tests, not only a part",
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
    all: bool = False,
    slow: bool = False,
) -> None:
    """Run the app's tests and the pipeline's own.

    Example: inv test --pattern clicks
    """
    from .lib import console
    from .lib.app.backend import choose_backend
    from .lib.app.base import Testing
    from .lib.checks import suite
    from .lib.project.settings import read_settings

    settings = read_settings(ctx)
    testing = Testing(tuple(path), pattern, keepdb, parallel, cov_html)
    if image:
        from .lib.checks import image_tests

        image_tests.run(ctx, settings, image, testing)
        return
    backend = choose_backend(ctx, settings, engine)
    apps, ours = suite.split(testing.paths, settings.project.package)
    failures = []
    if ours:
        console.step("the pipeline's tests")
        failures += suite.pipeline(ctx, ours, testing, all, slow)
    if apps:
        console.step("the app's tests")
        failures += suite.app(backend, apps, testing, settings)
    suite.conclude(failures, settings.project.package, counted=bool(apps))


@task
def lint(ctx: Context) -> None:
    """Check the style of Python, templates, Dockerfile, shell, YAML.

    Example: inv lint
    """
    from .lib.checks import linters

    linters.report(ctx, linters.checks())


@task
def format(ctx: Context) -> None:
    """Rewrite Python and templates in our style.

    Example: inv format
    """
    from .lib.checks import linters

    linters.report(ctx, linters.fixes())


@task
def types(ctx: Context) -> None:
    """Check the types (mypy, django-stubs).

    Example: inv types
    """
    from .lib.checks import linters
    from .lib.project.settings import read_settings

    linters.report(ctx, linters.typing(read_settings(ctx).project.package))


@task(help={"engine": "docker (PostgreSQL), host (SQLite, which sees less), or auto"})
def migrations(ctx: Context, engine: str = "") -> None:
    """Check that no migration is missing and none is unsafe.

    Example: inv migrations
    """
    from .lib.app.backend import choose_backend
    from .lib.checks import linters
    from .lib.project.settings import read_settings

    backend = choose_backend(ctx, read_settings(ctx), engine)
    linters.conclude(
        {
            "missing migrations": backend.test(linters.MISSING_MIGRATIONS, keep=True),
            "unsafe migrations": backend.test(
                linters.UNSAFE_MIGRATIONS + (linters.ON_SQLITE if backend.sqlite else [])
            ),
        }
    )


@task(help={"upgrade": "take the newest versions, not the locked ones where they still fit"})
def requirements(ctx: Context, upgrade: bool = False) -> None:
    """Lock requirements/*.in again, with hashes.

    Example: inv requirements --upgrade
    """
    from .lib import console
    from .lib.project import requirements

    changed = requirements.compile(ctx, upgrade)
    console.say(f"changed: {', '.join(changed)}" if changed else "nothing changed")
    raise Exit(code=0)


@task(auto_shortflags=False, help={"html": "write reports/codequality.html too"})
def quality(ctx: Context, html: bool = False) -> None:
    """Report style, complexity, duplicates and insecure code.

    Writes reports/codequality.json as GitLab reads it. Fails when a finding is major or worse; the
    others are shown. The rules are those of pyproject.toml. What must stay is marked where it
    stands: "# noqa: RULE", or "jscpd:ignore-start" and "jscpd:ignore-end" around a duplicate.

    Example: inv quality --html
    """
    from .lib.checks import codequality, html_report, quality
    from .lib.project import requirements

    requirements.install(ctx, "checks", "the checkers")
    found = quality.inspect(ctx)
    codequality.write(ctx, "codequality.json", codequality.gitlab(found))
    if html:
        codequality.write(ctx, "codequality.html", html_report.page(found))
    codequality.conclude(found)


@task(auto_shortflags=False, help={"offline": "do not ask for known vulnerabilities"})
def audit(ctx: Context, offline: bool = False) -> None:
    """Look for known vulnerabilities, licences not allowed, secrets.

    Vulnerabilities of all locked packages, licences of those that ship, secrets in every file. It
    fails, too, when the database of vulnerabilities does not answer; --offline leaves them out.
    What is accepted stands in invoke.yaml; a line that only looks like a secret bears the comment
    "pragma: allowlist secret".

    Example: inv audit
    """
    from .lib.checks import audit
    from .lib.project import requirements
    from .lib.project.settings import read_settings

    rules = read_settings(ctx).audit
    requirements.install(ctx, "checks", "the checkers")
    audit.conclude(audit.run(ctx, rules, offline))
