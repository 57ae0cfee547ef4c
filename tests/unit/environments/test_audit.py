"""The audit log has who did what, from where, and how it ended."""

from __future__ import annotations

import pytest

from tasks.lib.environments import audit
from tasks.lib.errors import TaskError
from tasks.lib.redaction import know
from tests.orchestrators.world import Killed


def states(world) -> list[tuple[str, str]]:
    """What was done and how it ended, the oldest first."""
    lines = audit.read(world.target, 100).entries
    return [(line.what, line.state.partition(":")[0]) for line in reversed(lines)]


def test_what_is_done_is_logged_with_its_beginning_and_its_end(world):
    images = [world.image() for _ in range(2)]
    for image in images:
        world.deploy(image)
    world.rollback()
    deploys = [f"deploys {image}" for image in images for _ in range(2)]
    ends = ["begins", "done"] * 3
    assert states(world) == [*zip([*deploys, "rolls back", "rolls back"], ends, strict=True)]


def test_a_lock_that_is_removed_by_force_is_logged_with_whose_it_was(world):
    world.take_lock()
    world.target.unlock()
    assert states(world)[-1] == ("removes the lock of ann, deploys since now", "done")


def test_a_line_has_who_when_and_from_where(world):
    with world.target.locked("sets secrets", "API_KEY"):
        pass
    (line,) = audit.read(world.target, 1).entries
    assert line.what == "sets secrets API_KEY"
    assert line.environment == "prod"
    assert "@" in line.by and line.time.endswith("Z") and line.address != "-"


def test_a_failure_has_its_reason_without_a_secret(world):
    know("API_KEY", "correct horse battery")
    with pytest.raises(TaskError), world.target.locked("deploys"):
        raise TaskError("no login with correct horse battery\nat all")
    (line,) = audit.read(world.target, 1).entries
    assert line.state.startswith("failed: no login with [API_KEY]")


def test_a_forced_deploy_and_a_forced_rollback_have_their_reason(world):
    world.deploy(world.image())
    image = world.image(tested=False, migrations=("a.0001",), final=("a.0001",))
    world.deploy(image, force="the tests\nhang")
    with pytest.raises(TaskError):
        world.rollback()
    world.rollback(force="the shop is down")
    assert states(world)[2:] == [
        *((f"deploys {image}, forced: the tests hang", end) for end in ("begins", "done")),
        *(("rolls back", end) for end in ("begins", "failed")),
        *(("rolls back, forced: the shop is down", end) for end in ("begins", "done")),
    ]


def test_a_reason_is_one_line_of_bounded_length_without_a_secret(world, monkeypatch):
    monkeypatch.setenv("API_KEY", "correct horse battery")
    why = "with correct horse battery\n" + "staple " * 500
    with world.target.locked("deploys", "x", why):
        pass
    (line,) = audit.read(world.target, 1).entries
    assert line.what.startswith("deploys x, forced: with [API_KEY] staple staple")
    assert len(line.what) == audit.LONGEST


def test_of_a_killed_task_the_beginning_stays(world):
    with pytest.raises(Killed), world.target.locked("deploys"):
        world.kill()
    world.restart()
    assert states(world) == [("deploys", "begins")]


def test_a_log_that_cannot_be_written_stops_nothing(world, capfd):
    def fail() -> None:
        raise TaskError("no space left")

    world.host.before["run"] = fail
    with world.target.locked("deploys"):
        pass
    assert "warning: not in the audit log of" in capfd.readouterr().err
    assert states(world) == [("deploys", "done")]


def test_lines_of_others_and_damaged_ones_are_left_out(world):
    path = world.target.settings.deploy.path
    world.host.run('mkdir -p "$1"; echo "{}" >"$1/audit.log"; echo "[" >>"$1/audit.log"', path)
    with world.target.locked("deploys"):
        pass
    assert states(world) == [("deploys", "begins"), ("deploys", "done")]


def test_an_environment_without_a_log_shows_that(world):
    assert audit.read(world.target, 9).text() == "nothing is logged"
