"""docs/faults.md has a row for each fault that a test in tests/lab marks, and no other row."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.testbed.commands import ROOT

MARK = "pytest.mark.fault"


def marked(source: str) -> list[str]:
    """The faults that a file of tests marks."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    marks = [node for node in calls if ast.unparse(node.func) == MARK]
    return [ast.literal_eval(node.args[0]) for node in marks]


def rows(page: str) -> list[str]:
    """The faults that the table tells of."""
    table = page.partition("| --- |\n")[2]
    return [line.removeprefix("| ").partition(" | ")[0] for line in table.splitlines()]


def tests() -> list[Path]:
    """The files whose tests write the table."""
    return sorted((ROOT / "tests/lab").glob("test_*.py"))


def test_each_row_of_faults_is_of_a_test_and_each_test_of_a_fault_has_a_row():
    told = rows((ROOT / "docs/faults.md").read_text())
    found = [fault for file in tests() for fault in marked(file.read_text())]
    assert sorted(told) == sorted(set(found))


def test_a_mark_is_found_above_a_test_and_in_its_parameters():
    above = '@pytest.mark.fault("one")\ndef test_it(): ...\n'
    within = 'CASES = [pytest.param(1, marks=pytest.mark.fault("two"))]\n'
    assert marked(above + within + '@pytest.mark.slow\n@skip("three")\ndef test_other(): ...') == [
        "one",
        "two",
    ]


def test_a_row_that_no_test_writes_is_found():
    page = "# Faults\n\n| Fault | Seconds |\n| --- | --- |\n| one \\| two | 5 |\n| three | 1 |\n"
    assert rows(page) == ["one \\| two", "three"]
