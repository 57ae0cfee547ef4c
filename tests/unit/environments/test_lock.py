"""The lock of an environment: its scripts run in a real shell."""

from __future__ import annotations

import json

import pytest

from tasks.lib.environments import lock
from tasks.lib.errors import ExitCode, RemoteCommandError, TaskError


def broken(status: int):
    def fail() -> None:
        raise RemoteCommandError("memory", status, "no answer")

    return fail


def test_it_is_held_and_released(world):
    with world.target.locked("deploys"):
        assert "deploys since" in world.target.holder()
        with pytest.raises(TaskError, match="locked by") as caught, world.target.locked("removes"):
            pass
        assert caught.value.code == ExitCode.LOCKED
    assert world.target.holder() == ""


def test_a_dead_owners_lock_is_taken_over(world, capfd):
    world.take_lock()
    world.restart()
    with world.target.locked("deploys"):
        pass
    assert "took over the lock of ann, deploys since now" in capfd.readouterr().err


def test_a_lock_that_is_removed_is_lost(world):
    with world.target.locked("deploys") as held:
        held.confirm()
        world.target.unlock()
        assert held.lost
        with pytest.raises(lock.LockLost, match="it was removed"):
            held.check()


def test_a_lock_that_another_holds_is_lost(world):
    with world.target.locked("deploys") as held:
        world.take_lock()
        with pytest.raises(lock.LockLost, match="held by ann, deploys since now"):
            held.confirm()


def test_a_connection_that_breaks_once_loses_no_lock(world):
    with world.target.locked("deploys") as held:
        world.host.before["run"] = broken(255)
        held.confirm()


def test_a_server_that_does_not_answer_is_told(world):
    world.host.before["run"] = broken(255)
    with pytest.raises(TaskError, match="no answer"), world.target.locked("deploys"):
        pass


def test_an_owner_that_cannot_be_read_is_unknown(world):
    world.host.run('mkdir -p "$1"; echo "{}" >"$1/lock"', world.target.path)
    assert world.target.holder() == "an unknown owner"


def test_it_is_renewed_while_it_is_held(world, monkeypatch, capfd):
    monkeypatch.setattr(lock, "RENEWAL", 0.01)
    with world.target.locked("deploys") as held:
        world.host.before["run"] = broken(255)
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
        note = json.loads(world.host.run('cat "$1/lock"', world.target.path))
    assert note["by"] == lock.owner({})
    assert "@" in note["by"]
