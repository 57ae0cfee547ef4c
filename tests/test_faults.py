"""docs/faults.md has a row for each fault and attack of tests/lab, and no other row."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.lab.faults import ATTACKS, HEAD, rows
from tests.lab.test_attacks import QUICK, SLOW
from tests.testbed.commands import ROOT

MARK = "pytest.mark.fault"


def marked(source: str) -> list[str]:
    """The faults that a file of tests marks."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    marks = [node for node in calls if ast.unparse(node.func) == MARK]
    return [ast.literal_eval(node.args[0]) for node in marks]


def fault_tests() -> list[Path]:
    """The files whose tests write the table."""
    return sorted((ROOT / "tests/lab").glob("test_*.py"))


def test_each_row_of_faults_is_of_a_test_and_each_test_of_a_fault_has_a_row():
    shown = rows((ROOT / "docs/faults.md").read_text(), HEAD)
    found = [fault for file in fault_tests() for fault in marked(file.read_text())]
    assert sorted(shown) == sorted(set(found))


def test_each_attack_has_a_row():
    shown = rows((ROOT / "docs/faults.md").read_text(), ATTACKS)
    assert sorted(shown) == sorted(QUICK | SLOW)


def test_a_mark_is_found_above_a_test_and_in_its_parameters():
    above = '@pytest.mark.fault("one")\ndef test_it(): ...\n'
    within = 'CASES = [pytest.param(1, marks=pytest.mark.fault("two"))]\n'
    assert marked(above + within + '@pytest.mark.slow\n@skip("three")\ndef test_other(): ...') == [
        "one",
        "two",
    ]


def test_a_row_that_no_test_writes_is_found():
    page = f"{HEAD}| one \\| two | 5 |\n| three | 1 |\n{ATTACKS}| four | 6 |\n"
    assert list(rows(page, HEAD)) == ["one \\| two", "three"]
    assert list(rows(page, ATTACKS)) == ["four"]
