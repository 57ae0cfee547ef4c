"""What a dump for another major version of PostgreSQL leaves out."""

from __future__ import annotations

import pytest

SET = "ALTER TABLE ONLY public.notes ALTER COLUMN id SET"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"{SET} (pg_attver=26602256);", ""),
        (f"{SET} (n_distinct=5, pg_attver=26602256);", f"{SET} (n_distinct=5);"),
        (f"{SET} (pg_a=1, pg_b=2, n_distinct=5, pg_c=3);", f"{SET} (n_distinct=5);"),
        (f"{SET} (pg_a=1, pg_b=2);", ""),
        (f"{SET} (n_distinct=5);", f"{SET} (n_distinct=5);"),
        (f"{SET} NOT NULL;", f"{SET} NOT NULL;"),
        (f"-- {SET} (pg_attver=1);", f"-- {SET} (pg_attver=1);"),
    ],
)
def test_options_that_a_server_sets_by_itself_are_left_out(tools, text, left):
    found = tools["loading"].without_internals(f"A;\n{text}\nB;")
    assert found.splitlines() == ["A;", *filter(None, [left]), "B;"]
