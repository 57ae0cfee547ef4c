"""What must hold before a deploy, all of it told at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.lib.deploys import plan, preflight
from tasks.lib.errors import ExitCode, TaskError


def test_nothing_is_released_yet(world):
    with pytest.raises(TaskError, match="nothing is released for prod - inv release") as caught:
        preflight.resolve_image(world.target, "")
    assert caught.value.code == ExitCode.REFUSED


def test_the_released_image_is_deployed_without_a_ref(world):
    image = world.image()
    world.deploy(image)
    assert preflight.resolve_image(world.target, "").revision == image.revision


def test_a_dynamic_environment_has_no_released_image(world):
    world.deploy(world.image())
    world.target.name = "review/x"
    with pytest.raises(TaskError, match="nothing is released for review/x"):
        preflight.resolve_image(world.target, "")


def test_all_problems_are_told_at_once(world):
    world.target.orchestrator.inner.cluster.down = "n1: not a manager"
    with pytest.raises(TaskError) as caught:
        preflight.check(world.target, world.image(tested=False))
    text = str(caught.value)
    assert "n1: not a manager" in text
    assert "is not tested" in text
    assert "secret" not in text


def test_a_report_names_what_was_checked(world):
    shown = preflight.dry_run(world.target, "").text()
    assert f"none is released yet - ./inv release --env={world.target.name}" in shown


@pytest.mark.parametrize("how", [preflight.dry_run, lambda *of: preflight.prepare(*of, "", False)])
def test_an_image_that_is_not_there_hides_no_problem_of_the_servers(world, how):
    world.target.orchestrator.inner.cluster.down = "n1: not a manager"
    with pytest.raises(TaskError) as caught:
        how(world.target, "0" * 40)
    assert "no image for" in str(caught.value)
    assert "\ninv: n1: not a manager" in str(caught.value)
    assert caught.value.code == ExitCode.REFUSED


def test_a_plan_of_what_has_no_place_yet_shows_all_that_would_be_made(world, capfd):
    image, cluster = world.image(), world.target.orchestrator.inner.cluster
    cluster.secrets.clear()
    cluster.there = False
    with pytest.raises(TaskError, match="secret SECRET_KEY is missing"):
        preflight.prepare(world.target, image.digest, "", changes=True)
    capfd.readouterr()
    found, stack = preflight.prepare(world.target, image.digest, "", changes=False)
    warned = capfd.readouterr().err
    assert "no namespace prod yet: nothing was checked there - ./inv server.setup" in warned
    assert "secret SECRET_KEY is missing" in warned
    made = plan.read(world.target, stack, found.revision)
    assert made.state == "new"
    assert {"+ namespace prod", "+ app", "+ proxy", "+ db"} <= {*made.changes}
    assert stack.content["secrets"]["SECRET_KEY"]["name"] == "myapp-prod_SECRET_KEY_v1"
    untested = world.image(tested=False)
    with pytest.raises(TaskError, match="is not tested"):
        preflight.prepare(world.target, untested.digest, "", changes=False)
    # What is there is checked.
    cluster.there = True
    with pytest.raises(TaskError, match="secret SECRET_KEY is missing"):
        preflight.prepare(world.target, image.digest, "", changes=False)


def test_one_command_is_named_for_several_missing_secrets(world):
    world.target.orchestrator.inner.cluster.secrets.clear()
    with pytest.raises(TaskError) as caught:
        preflight.check(world.target, world.image())
    assert "or --random, for all that are missing" in str(caught.value)


def test_a_missing_secret_of_a_recorded_release_is_named(world):
    first = world.image()
    world.deploy(first)
    world.deploy(world.image())
    cluster = world.target.orchestrator.inner.cluster
    cluster.secrets.pop("myapp-prod_SECRET_KEY_v1")
    world.target.orchestrator.set_secret("SECRET_KEY", "another")
    cluster.secrets["myapp-prod_SECRET_KEY_v2"] = cluster.secrets.pop("myapp-prod_SECRET_KEY_v1")
    record = world.records()[1]
    with pytest.raises(TaskError, match="secret myapp-prod_SECRET_KEY_v1 of release 1 is gone"):
        preflight.load_stack(world.target, record)


def test_servers_that_are_down_hide_what_is_gone_from_them(world):
    world.deploy(world.image())
    record = world.records()[0]

    def fail() -> None:
        raise TaskError("no leader")

    world.orchestrator.before["missing"] = fail
    world.target.orchestrator.inner.cluster.down = "n1: not a manager"
    with pytest.raises(TaskError) as caught:
        preflight.load_stack(world.target, record)
    assert str(caught.value) == "n1: not a manager"


def test_a_record_without_its_stack_is_refused(world):
    world.deploy(world.image())
    record = replace(world.records()[0], number=7)
    with pytest.raises(TaskError, match=r"releases/7/stack\.json is missing") as caught:
        preflight.load_stack(world.target, record)
    assert caught.value.code == ExitCode.REFUSED


@pytest.mark.parametrize(
    ("owner", "port", "taken"),
    [
        ("myapp-staging", "80/tcp", True),
        ("another process", "80/tcp", True),
        ("myapp-staging", "80/udp", False),
        ("myapp-prod", "80/tcp", False),
    ],
)
def test_a_port_that_others_have_is_refused_before_anything_changes(world, owner, port, taken):
    world.target.orchestrator.inner.cluster.others = {owner: {port}}
    image = world.image()
    if not taken:
        return world.deploy(image)
    with pytest.raises(TaskError, match=f"port 80/tcp of memory is taken by {owner}") as caught:
        world.deploy(image)
    assert caught.value.code == ExitCode.REFUSED
    assert world.records() == []


def test_a_rollback_to_a_port_that_others_have_now_is_refused(world):
    world.deploy(world.image())
    record = world.records()[0]
    world.target.orchestrator.inner.cluster.others = {"container web": {"80/tcp"}}
    with pytest.raises(TaskError, match="port 80/tcp of memory is taken by container web"):
        preflight.load_stack(world.target, record)


def test_a_port_that_is_published_twice_is_refused(world):
    stack = world.render(world.image())
    services = {**stack.services, "other": stack.services["proxy"]}
    twice = replace(stack, content={**stack.content, "services": services})
    with pytest.raises(TaskError, match="port 80/tcp is published twice - choose another"):
        preflight.check_stack(world.target, twice, world.target.orchestrator.ports(), twice)


def test_a_stack_that_the_servers_cannot_run_as_it_says_is_refused(world):
    world.target.orchestrator.inner.cluster.misfits = ["network x was made not encrypted"]
    with pytest.raises(TaskError, match="network x was made not encrypted") as caught:
        world.deploy(world.image())
    assert caught.value.code == ExitCode.REFUSED
    assert world.records() == []
