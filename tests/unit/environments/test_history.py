"""Which release runs, which one to go back to, and which are forgotten."""

from __future__ import annotations

import pytest

from tasks.lib.environments import history
from tasks.lib.environments.history import FAILED, GOOD, RUNNING, UNDONE, Record
from tasks.lib.errors import TaskError


def release(number: int, digest: str, state: str = GOOD, kind: str = "deploy", **more) -> Record:
    return Record(number, f"app@{digest}", "c" * 40, "me", kind, state, **more)


def entries(*them: Record) -> list[Record]:
    return sorted(them, key=lambda each: -each.number)


def test_the_newest_that_succeeded_runs():
    past = entries(
        release(1, "a"), release(2, "b"), release(3, "c", UNDONE), release(4, "d", FAILED)
    )
    found = history.current(past)
    assert found
    assert found.number == 2


def test_nothing_runs_before_the_first():
    assert history.current([]) is None
    assert history.number([]) == 1


def test_numbers_go_on_after_failures():
    assert history.number(entries(release(1, "a"), release(2, "b", FAILED))) == 3


def test_back_is_the_release_before():
    past = entries(release(1, "a"), release(2, "b"), release(3, "c", UNDONE))
    assert history.rollback_target(past).number == 1


def test_back_after_going_back_is_one_further():
    past = entries(
        release(1, "a"), release(2, "b"), release(3, "c"), release(4, "b", kind="rollback")
    )
    assert history.rollback_target(past).number == 1


def test_back_passes_over_releases_of_the_same_image():
    past = entries(release(1, "a"), release(2, "b"), release(3, "b"))
    assert history.rollback_target(past).number == 1


def test_back_to_a_named_release():
    past = entries(release(1, "a"), release(2, "b"), release(3, "c"))
    assert history.rollback_target(past, "1").number == 1


@pytest.mark.parametrize("wanted", ["9", "3", "x"])
def test_back_to_what_is_no_good_release_is_refused(wanted):
    past = entries(release(1, "a"), release(2, "b"), release(3, "c", FAILED))
    with pytest.raises(TaskError, match="known: 2, 1") as caught:
        history.rollback_target(past, wanted)
    assert caught.value.code == 2


@pytest.mark.parametrize("past", [[], entries(release(1, "a"))])
def test_back_from_the_first_is_refused(past):
    with pytest.raises(TaskError, match="no release before") as caught:
        history.rollback_target(past)
    assert caught.value.code == 2


def test_migrations_that_cannot_be_reversed_are_counted_since_the_goal():
    past = entries(
        release(1, "a", final=["app.1"]),
        release(2, "b", final=["app.2"]),
        release(3, "c", UNDONE, final=["app.3"]),
    )
    assert history.irreversible_since(past, past[-1]) == ["app.3", "app.2"]
    assert history.irreversible_since(past, past[0]) == []


def test_the_two_newest_good_ones_are_never_forgotten():
    past = entries(*(release(n, "x", GOOD if n < 3 else FAILED) for n in range(1, 8)))
    kept = {each.number for each in past} - {
        each.number for each in history.forgettable(past, keep=3)
    }
    assert kept == {7, 6, 5, 2, 1}


def test_a_release_that_runs_is_not_the_current_one():
    assert history.current([release(1, "a", RUNNING)]) is None
