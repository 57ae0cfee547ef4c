"""Which release runs, which one to go back to, and which are forgotten."""

from __future__ import annotations

import pytest

from tasks.lib.environments import records
from tasks.lib.environments.records import DAMAGED, FAILED, GOOD, RUNNING, UNDONE, Record
from tasks.lib.errors import TaskError
from tasks.lib.orchestrators.status import Progress, Service


def release(number: int, digest: str, state: str = GOOD, kind: str = "deploy", **more) -> Record:
    return Record(number, f"app@{digest}", "c" * 40, "me", kind, state, **more)


def service(release: object, healthy: int = 1) -> Service:
    return Service("app", "app@d", str(release), Progress("app", 1, healthy))


def back(past: list[Record], wanted: str = "") -> Record:
    return records.rollback_target(past, records.current(past, {}), wanted)


def entries(*them: Record) -> list[Record]:
    return sorted(them, key=lambda each: -each.number)


def test_the_newest_that_succeeded_runs():
    past = entries(
        release(1, "a"), release(2, "b"), release(3, "c", UNDONE), release(4, "d", FAILED)
    )
    found = records.current(past, {})
    assert found
    assert found.number == 2


def test_nothing_runs_before_the_first():
    assert records.current([], {}) is None
    assert records.next_number([], {}) == 1


def test_numbers_go_on_after_failures():
    assert records.next_number(entries(release(1, "a"), release(2, "b", FAILED)), {}) == 3


def test_back_is_the_release_before():
    past = entries(release(1, "a"), release(2, "b"), release(3, "c", UNDONE))
    assert back(past).number == 1


def test_back_after_going_back_is_one_further():
    past = entries(
        release(1, "a"), release(2, "b"), release(3, "c"), release(4, "b", kind="rollback")
    )
    assert back(past).number == 1


def test_back_passes_over_releases_of_the_same_image():
    past = entries(release(1, "a"), release(2, "b"), release(3, "b"))
    assert back(past).number == 1


def test_back_to_a_named_release():
    past = entries(release(1, "a"), release(2, "b"), release(3, "c"))
    assert back(past, "1").number == 1


@pytest.mark.parametrize("wanted", ["9", "3", "x"])
def test_back_to_what_is_no_good_release_is_refused(wanted):
    past = entries(release(1, "a"), release(2, "b"), release(3, "c", FAILED))
    with pytest.raises(TaskError, match="known: 2, 1") as caught:
        back(past, wanted)
    assert caught.value.code == 2


@pytest.mark.parametrize("past", [[], entries(release(1, "a"))])
def test_back_from_the_first_is_refused(past):
    with pytest.raises(TaskError, match="no release before") as caught:
        back(past)
    assert caught.value.code == 2


def test_migrations_that_cannot_be_reversed_are_counted_since_the_goal():
    past = entries(
        release(1, "a", final=["app.1"]),
        release(2, "b", final=["app.2"]),
        release(3, "c", UNDONE, final=["app.3"]),
    )
    assert records.irreversible_since(past, past[-1]) == ["app.3", "app.2"]
    assert records.irreversible_since(past, past[0]) == []


def test_the_two_newest_good_ones_are_never_forgotten():
    past = entries(*(release(n, "x", GOOD if n < 3 else FAILED) for n in range(1, 8)))
    kept = {each.number for each in past} - {
        each.number for each in records.forgettable(past, keep=3)
    }
    assert kept == {7, 6, 5, 2, 1}


def test_a_release_that_runs_is_not_the_current_one():
    assert records.current([release(1, "a", RUNNING)], {}) is None


@pytest.mark.parametrize("state", [GOOD, RUNNING, FAILED, DAMAGED])
def test_the_release_that_all_services_bear_runs(state):
    past = entries(release(1, "a"), release(2, "b", state), release(3, "c", UNDONE))
    found = records.current(past, {"app": service(2), "db": service(2)})
    assert found
    assert found.number == 2


@pytest.mark.parametrize("services", [{"app": service(2), "db": service(1)}, {"db": service(2)}])
def test_where_labels_differ_or_no_app_runs_the_newest_good_one_does(services):
    found = records.current(entries(release(1, "a"), release(2, "b", RUNNING)), services)
    assert found
    assert found.number == 1


def test_what_is_not_healthy_and_did_not_succeed_does_not_run():
    past = entries(release(1, "a"), release(2, "b", FAILED))
    found = records.current(past, {"app": service(2, healthy=0)})
    assert found
    assert found.number == 1


def test_a_number_that_a_service_bears_is_not_given_again():
    assert records.next_number(entries(release(1, "a")), {"app": service(7)}) == 8


def test_a_damaged_record_may_have_migrated():
    past = entries(release(1, "a"), release(2, "b", DAMAGED), release(3, "c"))
    assert records.irreversible_since(past, past[-1]) == ["what release 2 migrated"]


def test_an_irreversible_migration_is_remembered_as_long_as_a_release_before_it():
    past = entries(release(1, "a"), *(release(n, "x", FAILED) for n in range(3, 8)))
    past = entries(*past, release(2, "b", FAILED, final=["app.1"]))
    assert 2 not in [each.number for each in records.forgettable(past, keep=3)]


def test_what_runs_is_never_forgotten():
    past = entries(*(release(n, "x") for n in range(1, 8)))
    forgotten = records.forgettable(past, 2, past[-1])
    assert {each.number for each in forgotten} == {2, 3, 4, 5}
