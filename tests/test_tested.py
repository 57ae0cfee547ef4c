"""A tested image is the released one with more on top, never another one."""

from __future__ import annotations

import pytest

from tasks.lib.tested import begins


@pytest.mark.parametrize(
    ("layers", "below", "expected"),
    [
        (["a", "b", "c"], ["a", "b"], True),
        (["a", "b"], ["a", "b"], False),
        (["a", "x", "c"], ["a", "b"], False),
        (["b", "a", "c"], ["a", "b"], False),
        (["a"], ["a", "b"], False),
    ],
)
def test_the_layers_of_the_one_below_come_first_and_in_order(layers, below, expected):
    assert begins(layers, below) == expected
