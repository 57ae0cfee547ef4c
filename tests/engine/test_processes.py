"""Compose and the orchestrator take the processes and backing services of invoke.yaml."""

from __future__ import annotations

import msgspec
import pytest

from tasks.lib.deploys import rendering
from tasks.lib.project.app_settings import Process, Services
from tests.orchestrators.conftest import world  # noqa: F401

pytestmark = pytest.mark.engine


def test_compose_and_the_orchestrator_take_them(world):  # noqa: F811
    given = {"mail": Process("worker", ["mail"], 2), "poll": Process("manage check", home=True)}
    target = world.target
    target.settings = msgspec.structs.replace(target.settings, processes=given)
    stack = rendering.render(target, world.image())
    assert stack.ours == ["app", "mail", "poll"]
    assert stack.services["mail"]["environment"]["WORKER_QUEUES"] == "mail"
    target.settings = msgspec.structs.replace(
        target.settings, processes={}, services=Services(broker="none")
    )
    stack = rendering.render(target, world.image())
    assert (stack.ours, stack.backing) == (["app"], ["db"])
