"""What receivers get of a deploy, however it ends."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from tasks.lib.errors import TaskError
from tasks.lib.project.messages import Messages
from tests.testbed.receivers import Receiver, receiver


@pytest.fixture
def there(world, monkeypatch) -> Iterator[Receiver]:
    for name in ("MESSAGES_KEY", "GITLAB_TOKEN", "CI_ENVIRONMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    with receiver() as found:
        settings = world.target.settings
        messages = Messages(webhook=found.url)
        world.target.settings = msgspec.structs.replace(settings, messages=messages)
        yield found


def types(there: Receiver) -> list[str]:
    """The types of what a receiver got."""
    return [request.json["type"] for request in there.got]


def test_a_deploy_begins_and_is_done_and_so_is_a_rollback(world, there):
    world.deploy(world.image())
    world.deploy(world.image())
    world.rollback()
    assert types(there) == ["deploy.begun", "deploy.done"] * 2 + ["rollback.begun", "rollback.done"]
    data = there.got[-1].json["data"]
    assert (data["environment"], data["release"]) == ("prod", 3)


def test_what_runs_already_is_no_message(world, there):
    image = world.image()
    world.deploy(image)
    world.deploy(image)
    assert types(there) == ["deploy.begun", "deploy.done"]


def test_a_deploy_that_was_undone_says_so_and_why(world, there):
    world.deploy(world.image())
    with pytest.raises(TaskError):
        world.deploy(world.image(exits=True))
    assert types(there)[2:] == ["deploy.begun", "deploy.undone"]
    assert "exit" in there.got[-1].json["data"]["why"]


def test_one_that_touched_nothing_failed(world, there):
    with pytest.raises(TaskError):
        world.deploy(world.image(check="no licence"))
    assert types(there) == ["deploy.begun", "deploy.failed"]
    assert "no licence" in there.got[-1].json["data"]["why"]


def test_ctrl_c_says_how_it_ended(world, there):
    world.deploy(world.image())

    def interrupt() -> None:
        raise KeyboardInterrupt

    world.orchestrator.before["progress"] = interrupt
    with pytest.raises(TaskError, match="interrupted"):
        world.deploy(world.image())
    assert types(there)[-1] == "deploy.undone"


def test_a_receiver_that_refuses_changes_nothing_but_a_warning(world, there, capfd):
    there.statuses = [404, 404]
    image = world.image()
    world.deploy(image)
    assert world.serves() == image.revision
    assert "warning: the webhook did not get a message: HTTP status 404" in capfd.readouterr().err


def test_gitlab_is_not_asked_by_a_job_that_is_a_deployment_itself(world, there, monkeypatch):
    settings = world.target.settings
    there.answer = '{"id": 1}'
    messages = Messages(gitlab=there.url)
    world.target.settings = msgspec.structs.replace(settings, messages=messages)
    monkeypatch.setenv("GITLAB_TOKEN", "a token")
    monkeypatch.setenv("CI_ENVIRONMENT_NAME", "prod")
    world.deploy(world.image())
    assert there.got == []
    monkeypatch.delenv("CI_ENVIRONMENT_NAME")
    world.deploy(world.image())
    assert [request.json["status"] for request in there.got] == ["running", "success"]


def test_sentry_gets_the_deploy_with_the_version_that_errors_have(world, there, monkeypatch):
    settings = world.target.settings
    messages = Messages(sentry=f"{there.url}/api/0/projects/acme/shop")
    world.target.settings = msgspec.structs.replace(settings, messages=messages)
    monkeypatch.setenv("SENTRY_AUTH_TOKEN", "a token")
    image = world.image()
    world.deploy(image)
    release, deploy = there.got
    # The variable VERSION of the image: docker/metrics/appmetrics tells Sentry of it.
    assert release.json["version"] == image.revision
    assert deploy.path.endswith(f"/{image.revision}/deploys/")
