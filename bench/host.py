"""What needs no engine: `inv --list`, and the app's tests against Django's own runner."""

from __future__ import annotations

import re
from functools import partial
from xml.etree import ElementTree

from bench.table import Row, alternate
from tests.testbed.runs import Run
from tests.testbed.scratch import Scratch

LISTS, SUITES = 15, 3
BARE = 'from invoke import task\n\n\n@task\ndef hello(ctx):\n    """Say hello."""\n'
PACKAGE = "myapp"


def startup(scratch: Scratch) -> list[Row]:
    """Our launcher, settings and tasks against Invoke with one task."""
    bare = scratch.folder / "bare"
    bare.mkdir()
    (bare / "tasks.py").write_text(BARE)
    inv = partial(scratch.seconds, "./inv", "--list")
    invoke = partial(scratch.seconds, scratch.bin / "invoke", "--list", cwd=bare)
    what = "`./inv --list` / `invoke --list` of one task"
    return [Row(what, *alternate(inv, invoke, LISTS), 1.3)]


def suite(scratch: Scratch) -> list[Row]:
    """The same tests, on the same SQLite, with the same reports."""
    ours(scratch)
    report = ElementTree.parse(scratch.root / "reports/app.xml")
    # Its own number counts subtests, too.
    mine = len({(each.get("classname"), each.get("name")) for each in report.iter("testcase")})
    others = re.findall(r"^Ran (\d+) tests?", django(scratch).text, re.MULTILINE)
    if [str(mine)] != others:
        raise RuntimeError(f"inv test runs {mine} tests and manage.py test {others}")
    taken = alternate(partial(ours, scratch), partial(theirs, scratch), SUITES, warm=False)
    what = "`./inv test` of the app, on the host / `coverage run manage.py test`"
    return [Row(what, *taken, 1.15, note=f"{mine} tests")]


def ours(scratch: Scratch) -> float:
    """Seconds of ours."""
    return scratch.seconds("./inv", "test", "--engine=host", "--path", PACKAGE)


def theirs(scratch: Scratch) -> float:
    """Seconds of Django's runner and of coverage's reports."""
    xml = f"-o{scratch.folder}/coverage.xml"
    tests = django(scratch).seconds
    reports = coverage(scratch, "report", "--skip-covered"), coverage(scratch, "xml", xml)
    return tests + sum(each.seconds for each in reports)


def django(scratch: Scratch) -> Run:
    """The tests, as Django's own runner runs them."""
    measured = ("run", "--branch", f"--source={PACKAGE}")
    return coverage(scratch, *measured, "manage.py", "test", PACKAGE)


def coverage(scratch: Scratch, *words: str) -> Run:
    """A command of coverage."""
    settings, file = f"{PACKAGE}.settings.test", f"{scratch.folder}/coverage"
    env = {"DJANGO_SETTINGS_MODULE": settings, "COVERAGE_FILE": file}
    return scratch.run(scratch.root / ".inv/app/bin/python", "-m", "coverage", *words, **env)
