"""The project's own steps around a deploy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lib.errors import ExitCode, TaskError
from tests.orchestrators.world import World


def hook(world: World, name: str, script: str) -> Path:
    """Make a hook of a shell script; returns the file that it can write to."""
    file = world.target.hooks / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file.with_suffix(".out")


def test_hooks_run_before_and_after_with_what_is_deployed(world):
    before = hook(world, "pre-deploy", 'echo "$DEPLOY_RELEASE $DEPLOY_KIND" >hooks/pre-deploy.out')
    after = hook(world, "post-deploy", 'echo "$DEPLOY_COMMIT" >hooks/post-deploy.out')
    image = world.image()
    world.deploy(image)
    assert before.read_text() == "1 deploy\n"
    assert after.read_text() == f"{image.revision}\n"


def test_a_hook_that_fails_before_refuses_the_deploy(world):
    hook(world, "pre-deploy", "exit 3")
    with pytest.raises(TaskError, match="hooks/pre-deploy exited with 3") as caught:
        world.deploy(world.image())
    assert caught.value.code == ExitCode.REFUSED
    assert world.records() == []


def test_a_hook_that_takes_too_long_is_ended(world):
    hook(world, "pre-deploy", "exec sleep 30")
    world.wait_for(timeout=0.1)
    with pytest.raises(TaskError, match=r"did not end within 0.1 s"):
        world.deploy(world.image())


def test_a_hook_that_fails_after_is_a_warning(world, capfd):
    hook(world, "post-deploy", "exit 3")
    world.deploy(world.image())
    assert "warning: hooks/post-deploy exited with 3" in capfd.readouterr().err


def test_the_hook_of_a_failure_gets_the_reason(world):
    told = hook(world, "on-failure", 'echo "$DEPLOY_ERROR" >hooks/on-failure.out')
    with pytest.raises(TaskError):
        world.deploy(world.image(check="no licence"))
    assert "no licence; no replica of the app was touched" in told.read_text()


def test_a_file_that_is_not_executable_is_no_hook(world):
    hook(world, "pre-deploy", "exit 3")
    (world.target.hooks / "pre-deploy").chmod(0o644)
    world.deploy(world.image())
