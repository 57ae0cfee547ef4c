"""How long the app's tests take with `inv test`, against Django's own runner under coverage."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from xml.etree import ElementTree

from scratch import Scratch
from sides import alternate
from table import Row

ROUNDS = 3
PACKAGE = "myapp"


def measure(scratch: Scratch) -> list[Row]:
    """The same tests, on the same SQLite, with the same reports."""
    mine, others = count_ours(scratch), count_theirs(scratch)
    if mine != others or not mine:
        raise RuntimeError(f"inv test runs {mine} tests and manage.py test {others}")
    what = "`./inv test` of the app, on the host / `coverage run manage.py test`"
    busy = Busy(), Busy()
    ours, theirs = alternate(
        lambda: busy[0].during(run_ours, scratch),
        lambda: busy[1].during(run_theirs, scratch),
        ROUNDS,
        warm=False,
    )
    note = f"{mine} tests; of the processor, {busy[0].median:.3g} s / {busy[1].median:.3g} s"
    return [Row(what, ours, theirs, 1.15, note=note)]


class Busy:
    """The processor's seconds that a side takes: other work on the machine hardly changes them."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def during(self, run: Callable[[Scratch], float], scratch: Scratch) -> float:
        """What a run returns, its processor time noted."""
        before = os.times()
        result = run(scratch)
        after = os.times()
        user = after.children_user - before.children_user
        self.taken.append(user + after.children_system - before.children_system)
        return result

    @property
    def median(self) -> float:
        """The median of all runs."""
        return median(self.taken)


def run_ours(scratch: Scratch) -> float:
    """Seconds of ours."""
    return scratch.seconds("./inv", "test", "--engine=host", "--path", PACKAGE)


def run_theirs(scratch: Scratch) -> float:
    """Seconds of Django's runner and of coverage's reports."""
    began = time.perf_counter()
    run_django(scratch)
    python = scratch.bin / "python"
    xml = f"-o{scratch.folder / 'coverage.xml'}"
    for report in (["report", "--skip-covered"], ["xml", xml]):
        scratch.run(python, "-m", "coverage", *report, **env(scratch))
    return time.perf_counter() - began


def run_django(scratch: Scratch) -> str:
    """What Django's runner prints."""
    measured = ["-m", "coverage", "run", "--branch", f"--source={PACKAGE}"]
    return scratch.run(
        scratch.bin / "python", *measured, "manage.py", "test", PACKAGE, **env(scratch)
    )


def env(scratch: Scratch) -> dict[str, Any]:
    """The variables of their side."""
    return {
        "DJANGO_SETTINGS_MODULE": f"{PACKAGE}.settings.test",
        "COVERAGE_FILE": str(scratch.folder / "coverage"),
    }


def count_ours(scratch: Scratch) -> int:
    """How many tests pytest runs, from its report, whose own number counts subtests too."""
    run_ours(scratch)
    report = ElementTree.parse(scratch.tree / "reports/app.xml")
    return len({(each.get("classname"), each.get("name")) for each in report.iter("testcase")})


def count_theirs(scratch: Scratch) -> int:
    """How many tests Django's runner runs."""
    found = re.search(r"^Ran (\d+) tests?", run_django(scratch), re.MULTILINE)
    return int(found[1]) if found else 0
