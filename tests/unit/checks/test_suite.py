"""The suite's coverage, and which part of it a path belongs to."""

from __future__ import annotations

import pytest

from tasks.lib.app import base
from tasks.lib.checks import suite
from tasks.lib.errors import TaskError


def report(lines: tuple[int, int], branches: tuple[int, int]) -> str:
    return (
        f'<coverage version="7" lines-valid="{lines[1]}" lines-covered="{lines[0]}" '
        f'branches-covered="{branches[0]}" branches-valid="{branches[1]}"><x/></coverage>'
    )


@pytest.mark.parametrize(
    ("lines", "branches", "expected"),
    [
        ((524, 524), (78, 78), 100),
        ((524, 524), (77, 78), 99),
        ((90, 100), (0, 20), 75),
        ((1, 1000), (0, 0), 1),
        ((0, 1000), (0, 0), 0),
    ],
)
def test_coverage_counts_lines_and_branches(lines, branches, expected):
    assert suite.percent(report(lines, branches)) == expected


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], (["myapp"], ["tests"])),
        (["myapp/tests"], (["myapp/tests"], [])),
        (["./tests/test_help.py"], ([], ["./tests/test_help.py"])),
        (["myapp", "tests"], (["myapp"], ["tests"])),
    ],
)
def test_a_path_belongs_to_the_app_or_to_the_pipeline(paths, expected):
    assert suite.split(base.Testing(tuple(paths)), ["myapp"]) == expected


def test_a_missing_path_is_refused():
    with pytest.raises(TaskError, match="no such test file or folder: nope"):
        suite.split(base.Testing(("nope",)), ["myapp"])
