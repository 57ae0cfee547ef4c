"""The servers are the truth: drift, killed deploys, and histories that are lost or damaged."""

from __future__ import annotations

import pytest

from tasks.lib.environments import adoption, status
from tasks.lib.errors import ExitCode, TaskError

from .test_conformance import fails
from .world import Killed, World


def killed(world: World, step: str, when: str = "before", **behaviour):
    """Deploy an image, and kill the deployer at a step; returns the image."""
    image = world.image(**behaviour)
    getattr(world.orchestrator, when)[step] = world.kill
    with pytest.raises(Killed):
        world.deploy(image)
    world.restart()
    return image


def drifted(world: World) -> list[str]:
    """What status says is wrong of drift."""
    return [line for line in status.read(world.target).problems if line.startswith("drift")]


def test_a_deploy_leaves_no_drift(world):
    world.deploy(world.image())
    world.deploy(world.image())
    assert drifted(world) == []
    world.rollback()
    assert drifted(world) == []
    fails(world, "rolled back", image=world.image(exits=True))
    assert drifted(world) == []


def test_a_service_scaled_by_hand_is_drift_which_a_deploy_repairs(world, capfd):
    image = world.image()
    world.deploy(image)
    world.by_hand.scale("app", 0)
    assert world.serves() == "nothing"
    assert drifted(world)
    world.deploy(image)
    assert "Replicas" in (shown := capfd.readouterr().err) or "replicas" in shown
    assert world.serves() == image.revision
    assert drifted(world) == []


def test_a_database_stopped_by_hand_is_started_before_it_is_asked(world, capfd):
    image = world.image()
    world.deploy(image)
    world.by_hand.scale("db", 0)
    assert drifted(world)
    world.deploy(image)
    assert "starting db" in capfd.readouterr().err
    assert world.serves() == image.revision
    assert drifted(world) == []


def test_a_variable_set_by_hand_is_drift_which_a_deploy_repairs(world, capfd):
    image = world.image()
    world.deploy(image)
    world.by_hand.set_variable("worker", "TOKEN", "hunter2")
    found = status.read(world.target)
    text, wrong = found.text(), found.problems
    assert "TOKEN" in text and "hunter2" not in text
    assert wrong == ["drift: 1 value differs from release 1 - inv deploy --env=prod"]
    world.deploy(image)
    assert "changed by hand since release 1" in capfd.readouterr().err
    assert drifted(world) == []


def test_an_image_set_by_hand_is_drift_which_a_deploy_repairs(world):
    image, other = world.image(), world.image()
    world.deploy(image)
    world.by_hand.set_image("worker", other)
    assert drifted(world)
    world.deploy(image)
    services = world.target.orchestrator.services()
    assert services["worker"].image == services["app"].image
    assert drifted(world) == []


def test_a_service_removed_by_hand_is_drift_which_a_deploy_repairs(world):
    image = world.image()
    world.deploy(image)
    world.by_hand.remove("worker")
    assert drifted(world)
    world.deploy(image)
    assert "worker" in world.target.orchestrator.services()
    assert drifted(world) == []


def test_a_deploy_that_fails_after_drift_brings_back_what_was_deployed(world):
    image = world.image()
    world.deploy(image)
    world.by_hand.set_variable("worker", "A", "2")
    fails(world, "rolled back: release 1", image=world.image(exits=True))
    assert drifted(world) == []


@pytest.mark.parametrize("step", ["progress", "tidy"])
def test_a_killed_deploy_that_runs_is_what_runs(world, step):
    first, second = world.image(), world.image()
    world.deploy(first)
    world.deploy(second)
    third = killed(world, step) if step == "tidy" else killed_when_healthy(world)
    assert world.serves() == third.revision
    world.rollback()
    assert world.serves() == second.revision


def killed_when_healthy(world: World):
    """Deploy an image, and kill the deployer while it watches what is healthy."""

    def look() -> None:
        services = world.orchestrator.inner.services().values()
        new = len({each.release for each in services}) == 1
        if new and all(each.progress.done for each in services):
            world.kill()
        world.orchestrator.after["progress"] = look

    image = world.image()
    world.wait_for(soak=2)
    world.orchestrator.after["progress"] = look
    with pytest.raises(Killed):
        world.deploy(image)
    world.restart()
    return image


def test_a_killed_deploy_is_wrong_until_the_next(world):
    world.deploy(world.image())
    killed(world, "rollout")
    wrong = status.read(world.target).problems
    commit = world.records()[0].revision
    assert f"release 2 was cut off - inv deploy --env=prod --ref={commit} completes it" in wrong
    world.deploy(world.image())
    assert status.read(world.target).problems == []


@pytest.mark.parametrize("step", ["apply", "progress"])
def test_a_deploy_killed_after_an_irreversible_migration_is_not_crossed_unasked(world, step):
    first = world.image()
    world.deploy(first)
    one = ("myapp.9001_one",)
    killed(world, step, migrations=one, final=one)
    world.deploy(world.image(migrations=one, final=one))
    with pytest.raises(TaskError, match="9001_one cannot be reversed since release 1") as caught:
        world.rollback()
    assert caught.value.code == ExitCode.REFUSED
    assert world.records()[1].backup


def test_a_history_that_is_elsewhere_is_noticed(world):
    first = world.image()
    world.deploy(first)
    world.move("elsewhere")
    words = ("release 1 runs, and is not in the history in", world.place, "history.adopt")
    message = fails(world, *words, code=ExitCode.REFUSED, image=world.image(exits=True))
    assert world.serves() == first.revision
    found = [line.split(" - ")[0] for line in status.read(world.target).problems]
    assert any(message.startswith(line) for line in found)


def test_an_older_history_of_another_folder_is_noticed(world):
    first = world.image()
    world.deploy(first)
    world.copy_history("elsewhere")
    world.deploy(world.image())
    world.move("elsewhere")
    fails(world, "release 2 runs, and is not in the history", code=ExitCode.REFUSED, image=first)


def test_what_runs_is_adopted(world):
    first = world.image()
    world.deploy(first)
    world.move("elsewhere")
    made = adoption.adopt(world.target)
    assert (made.number, made.revision, made.state) == (1, first.revision, "succeeded")
    assert status.read(world.target).problems == []
    fails(world, "rolled back: release 1", image=world.image(exits=True))
    assert world.serves() == first.revision
    second = world.image()
    world.deploy(second)
    assert [record.number for record in world.records()] == [3, 2, 1]
    world.rollback()
    assert world.serves() == first.revision


def test_what_another_tool_deployed_is_adopted(world):
    first = world.image()
    world.deploy(first)
    world.by_hand.unlabel()
    world.move("elsewhere")
    fails(world, "an app without a release runs", code=ExitCode.REFUSED, image=world.image())
    adoption.adopt(world.target)
    fails(world, "rolled back: release 1", image=world.image(exits=True))
    assert world.serves() == first.revision


def test_nothing_is_adopted_twice(world):
    with pytest.raises(TaskError, match="nothing runs"):
        adoption.adopt(world.target)
    world.deploy(world.image())
    with pytest.raises(TaskError, match="release 1 is in the history: nothing to adopt") as caught:
        adoption.adopt(world.target)
    assert caught.value.code == ExitCode.REFUSED


@pytest.mark.parametrize("file", ["release.json", "stack.json"])
def test_a_damaged_record_of_what_runs_stops_no_deploy(world, capfd, file):
    first, second, third = world.image(), world.image(), world.image()
    world.deploy(first)
    world.deploy(second)
    world.damage(2, file)
    assert world.serves() == second.revision
    fails(world, "rolled back: release 2", image=world.image(exits=True))
    assert world.serves() == second.revision
    assert f"{world.place}/2/{file} is damaged" in capfd.readouterr().err
    world.rollback(to="1", force="the damaged one migrated nothing")
    assert world.serves() == first.revision
    world.deploy(third)
    assert world.records()[0].number == 5
    assert world.serves() == third.revision


def test_a_damaged_record_is_no_release_to_go_back_to(world):
    world.deploy(world.image())
    world.deploy(world.image())
    world.damage(1)
    with pytest.raises(TaskError, match="no release 1 to go back to"):
        world.rollback(to="1")


def test_a_damaged_record_of_what_runs_can_be_adopted(world):
    world.deploy(world.image())
    second = world.image()
    world.deploy(second)
    world.damage(2)
    assert adoption.adopt(world.target).number == 2
    assert status.read(world.target).problems == []
    with pytest.raises(TaskError, match="what release 2 migrated cannot be reversed"):
        world.rollback()


def test_a_history_that_cannot_be_read_is_refused(world):
    world.deploy(world.image())
    with world.unreadable():
        fails(world, "cannot read the history", code=ExitCode.REFUSED, image=world.image())
