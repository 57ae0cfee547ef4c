"""An engine's HTTP API: who does not answer is named, and --dry changes nothing."""

from __future__ import annotations

import pytest
from invoke import Config, Context

from tasks.lib.docker import api
from tasks.lib.docker.cli import DockerError


def context(**run: bool) -> Context:
    return Context(Config(overrides={"run": {"dry": False, "echo": False, **run}}))


def test_an_engine_that_does_not_answer_is_an_error(tmp_path):
    env = {"DOCKER_HOST": f"unix://{tmp_path / 'none.sock'}"}
    with pytest.raises(DockerError, match="the engine does not answer"):
        api.call(context(), env, "/secrets")


def test_a_change_is_only_printed_under_dry(tmp_path, capfd):
    env = {"DOCKER_HOST": f"unix://{tmp_path / 'none.sock'}"}
    assert api.call(context(dry=True), env, "/secrets/x/update", {"Name": "x"}) is None
    assert "docker api POST /secrets/x/update" in capfd.readouterr().err


@pytest.mark.engine
def test_a_real_engine_answers_and_says_why_it_refuses():
    assert "ApiVersion" in api.call(context(), {}, "/version")
    with pytest.raises(DockerError, match=r"(?i)no such container"):
        api.call(context(), {}, "/containers/no-such-one/json")
