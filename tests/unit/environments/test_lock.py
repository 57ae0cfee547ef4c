"""The lock of a stack: who holds it, how it is lost, and who it is shown to."""

from __future__ import annotations

import json

import pytest

from tasks.lib.environments import lock
from tasks.lib.errors import ExitCode, TaskError


def broken() -> None:
    raise TaskError("no answer")


def interrupt() -> None:
    raise KeyboardInterrupt


def test_it_is_held_and_released(world):
    with world.target.locked("deploys"):
        assert "deploys since" in str(world.target.holder())
        with pytest.raises(TaskError, match="locked by") as caught, world.target.locked("removes"):
            pass
        assert caught.value.code == ExitCode.LOCKED
    assert world.target.holder() is None


def test_a_lock_that_is_not_renewed_is_watched_before_it_is_taken_over(world, capfd):
    world.take_lock()
    world.restart()
    with world.target.locked("deploys"):
        pass
    said = capfd.readouterr().err
    assert "the lock of ann, deploys since now was not renewed in time: watching it" in said
    assert "took over the lock of ann, deploys since now, which was not renewed" in said


def test_a_lock_that_is_released_while_it_is_watched_is_free(world, capfd):
    world.take_lock()
    world.restart()
    world.orchestrator.after["lease"] = world.target.unlock
    with world.target.locked("deploys"):
        pass
    assert "took over" not in capfd.readouterr().err


def test_a_lock_that_another_takes_meanwhile_is_refused(world):
    world.orchestrator.before["take_lease"] = world.take_lock
    with pytest.raises(TaskError, match="locked by ann") as caught, world.target.locked("deploys"):
        pass
    assert caught.value.code == ExitCode.LOCKED
    assert "ann" in str(world.target.holder())


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interruption_while_it_is_taken_leaves_it_free(world, moment):
    getattr(world.orchestrator, moment)["take_lease"] = interrupt
    with pytest.raises(KeyboardInterrupt), world.target.locked("deploys"):
        pass
    assert world.target.holder(expired=True) is None


def test_an_expired_lock_is_nobodys_but_can_be_removed(world):
    world.take_lock()
    world.restart()
    assert world.target.holder() is None
    assert str(world.target.holder(expired=True)) == "ann, deploys since now"
    world.target.unlock()
    world.target.unlock()
    assert world.target.holder(expired=True) is None


def test_a_lock_that_is_removed_is_lost_for_good(world):
    with world.target.locked("deploys") as held:
        held.confirm()
        world.target.unlock()
        assert held.lost
        assert held.lost
        with pytest.raises(lock.LockLost, match="it was removed"):
            held.check()


def test_a_lock_that_another_holds_is_lost(world):
    with world.target.locked("deploys") as held:
        world.take_lock()
        with pytest.raises(lock.LockLost, match="held by ann, deploys since now"):
            held.confirm()
    assert "ann" in str(world.target.holder())


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_that_breaks_once_loses_no_lock(world, moment):
    with world.target.locked("deploys") as held:
        getattr(world.orchestrator, moment)["take_lease"] = broken
        held.confirm()
        held.confirm()


def test_a_server_that_does_not_answer_is_told(world):
    world.orchestrator.before["lease"] = broken
    with pytest.raises(TaskError, match="no answer"), world.target.locked("deploys"):
        pass


@pytest.mark.parametrize("text", ["{}", "[]", "nothing"])
def test_an_owner_that_cannot_be_read_is_unknown(world, text):
    world.target.orchestrator.take_lease(None, text)
    assert str(world.target.holder()) == "an unknown owner"


def test_it_is_renewed_while_it_is_held(world, capfd):
    world.target.terms = lock.Terms(renewal=0.01)
    with world.target.locked("deploys") as held:
        world.orchestrator.before["take_lease"] = broken
        world.take_lock()
        for _ in range(500):
            if held._lost:
                break
            held._end.wait(0.01)
        with pytest.raises(lock.LockLost):
            held.check()
    assert "the lock cannot be renewed now" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"CI_JOB_URL": "https://ci/1", "GITLAB_USER_LOGIN": "ann"}, "ann (https://ci/1)"),
        ({"CI_JOB_URL": "https://ci/1"}, "ci (https://ci/1)"),
        (
            {"GITHUB_RUN_ID": "7", "GITHUB_ACTOR": "bo", "GITHUB_SERVER_URL": "https://g",
             "GITHUB_REPOSITORY": "o/r"},
            "bo (https://g/o/r/actions/runs/7)",
        ),
    ],
)  # fmt: skip
def test_the_owner_of_a_ci_job_is_its_user_and_address(env, expected):
    assert lock.owner(env) == expected


def test_a_persons_lock_names_the_machine(world):
    with world.target.locked("deploys"):
        note = json.loads(world.target.orchestrator.lease().text)
    assert note["by"] == lock.owner({})
    assert "@" in note["by"]
