"""Waiting ends as soon as its condition is true, and never later than its deadline allows."""

from __future__ import annotations

import pytest

from tasks.lib.process import wait_until


def test_waiting_returns_the_first_true_value():
    values = iter([0, "", "ready", "later"])
    assert wait_until(lambda: next(values), 10, poll=0) == "ready"


def test_waiting_raises_after_the_deadline():
    with pytest.raises(TimeoutError, match="timed out after"):
        wait_until(lambda: None, 0.02, poll=0.01)


def test_a_condition_is_checked_once_even_without_time():
    assert wait_until(lambda: True, 0)
    with pytest.raises(TimeoutError):
        wait_until(lambda: False, 0)
