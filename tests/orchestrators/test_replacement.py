"""A deployer that is killed while a database is replaced, at every step of it, on one Docker host.

On this machine's own engine, with containers that only sleep: one database is always left.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke import Config, Context

from tasks.lib.errors import TaskError
from tasks.lib.orchestrators.compose import networks, rendering, replacement, teardown
from tasks.lib.orchestrators.compose.containers import ACCEPTED, Container
from tasks.lib.orchestrators.compose.files import Files
from tasks.lib.orchestrators.compose.rollout import ComposeRollout
from tasks.lib.orchestrators.compose.server import Server
from tasks.lib.orchestrators.stack import RELEASE, STACK, Stack
from tests.testbed.commands import until

from .compose_world import EngineHost
from .world import Killed

pytestmark = [pytest.mark.engine]
APP, DATABASE = "debian:trixie-slim", "redis:8-trixie"
SLEEP = ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"]
EXITS = ["sh", "-c", "sleep 0.3; exit 7"]
FINE = {"test": ["CMD", "true"], "interval": "500ms"}
HANGS = {"test": ["CMD", "false"], "interval": "500ms", "retries": 2}


class Mortal(Server):
    """Docker on the server, until its deployer is killed: in place of the call of that number."""

    left = 10**6

    def live(self) -> None:
        """Count a call."""
        self.left -= 1
        if self.left < 0:
            raise Killed

    def run(self, *words: str, text: str = "") -> str:
        """Return the output of a docker command; see Engine.run."""
        self.live()
        return super().run(*words, text=text)

    def containers(self) -> list[Container]:
        """Return the containers; see Server.containers."""
        self.live()
        return super().containers()


class Small:
    """A stack of an app and a database, which deployers roll out; some are killed."""

    def __init__(self, host: EngineHost, env: dict[str, str]) -> None:
        self.ctx = Context(Config(overrides={"run": {"dry": False, "echo": False}}))
        self.host, self.env, self.name = host, env, f"t-{uuid.uuid4().hex[:6]}-prod"
        self.release = 0
        self.first = self.stack(SLEEP)

    def stack(self, database: list[str], **more: object) -> Stack:
        """The stack of the next release, with a command of the database."""
        self.release += 1
        deploy = {"labels": {RELEASE: str(self.release)}, "replicas": 1}
        common = {"environment": {"RELEASE": str(self.release)}, "deploy": deploy}
        common |= {"healthcheck": FINE}
        services = {
            "app": {**common, "image": APP, "command": SLEEP},
            "db": {**common, "image": DATABASE, "command": database, **more},
        }
        networks = {"default": {"name": f"{self.name}_default"}}
        return Stack(self.name, APP, {"services": services, "networks": networks})

    @property
    def server(self) -> Server:
        """Docker on the server."""
        return Server(self.ctx, self.env, self.name)

    def remove(self) -> None:
        """Remove all of it."""
        self.settle()
        teardown.remove(self.server, volumes=True)
        replacement.forget(self.host, self.name)  # type: ignore[arg-type]

    def rollout(self, stack: Stack, lives: int = 10**6, back: bool = False) -> ComposeRollout:
        """A deployer's rollout that ends with it, after so many calls."""
        server = Mortal(self.ctx, self.env, self.name)
        server.left = lives
        return ComposeRollout(self.host, Files(server), stack, back, True)  # type: ignore[arg-type]

    def roll(self, rollout: ComposeRollout) -> str:
        """Roll out to its end; returns how it failed, if it did."""
        rollout.apply()
        found = []
        while not found or not all(each.done for each in found):
            found = rollout.progress() or found
            time.sleep(0.1)
            if failed := [each.failed.reason for each in found if each.failed]:
                return failed[0]
        return ""

    def settle(self) -> None:
        """Wait until the server does nothing of itself any more."""
        for script in self.host.begun:
            script.wait()

    def running(self, service: str) -> list[Container]:
        """The containers of a service that run."""
        found = self.server.containers()
        return [each for each in found if each.service == service and not each.ended]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    """A small stack, of which the first release runs; it is removed at the end."""
    made = Small(EngineHost(tmp_path / "home"), {})
    try:
        assert made.roll(made.rollout(made.first)) == ""
        yield made
    finally:
        made.remove()


def survives(small: Small, stack: Stack, lives: int) -> bool:
    """Kill a deployer after so many calls; see what the server has made of it.

    Returns whether it had ended before.
    """
    try:
        small.roll(small.rollout(stack, lives))
    except Killed:
        killed = True
    else:
        killed = False
    small.settle()
    (database,) = small.running("db")
    assert database.policy == ACCEPTED, f"killed after {lives} calls"
    assert small.running("app")
    return not killed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "more"),
    [(SLEEP, {}), (EXITS, {}), (SLEEP, {"healthcheck": HANGS})],
    ids=["good", "exits", "hangs"],
)
def test_a_deployer_killed_at_any_step_leaves_one_database_that_runs(small, database, more):
    for lives in range(1, 1000, 2):
        if survives(small, small.stack(database, **more), lives):
            break
    assert lives > 10
    assert small.roll(small.rollout(small.stack(SLEEP))) == ""
    assert len(small.running("db")) == len(small.running("app")) == 1


def test_a_deployer_killed_right_after_the_replacement_began_leaves_a_database(small):
    (old,) = small.running("db")
    rollout = small.rollout(small.stack(SLEEP))
    rollout.apply()
    until(lambda: [each.id for each in small.running("db")] not in ([old.id], []), 20)
    (new,) = small.running("db")
    small.settle()
    assert new.policy == ACCEPTED and [each.id for each in small.running("db")] == [new.id]


def test_a_database_that_does_not_start_is_put_back_by_the_server_itself(small):
    (old,) = small.running("db")
    small.rollout(small.stack(EXITS)).apply()
    small.settle()
    (now,) = small.running("db")
    assert (now.id, now.policy) == (old.id, ACCEPTED)


def test_a_failed_replacement_names_the_replica_and_its_undo_keeps_the_old_database(small):
    (old,) = small.running("db")
    assert "replica 1 e" in small.roll(small.rollout(small.stack(EXITS)))
    assert small.roll(small.rollout(small.first, back=True)) == ""
    assert [each.id for each in small.running("db")] == [old.id]


def test_of_two_deployers_one_database_is_left(small):
    for _ in range(2):
        small.rollout(small.stack(SLEEP)).apply()
    small.settle()
    assert len(small.running("db")) == 1


def test_a_server_that_cannot_replace_says_why_and_changes_nothing(small, monkeypatch):
    before, start = [each.id for each in small.running("db")], small.host.start
    rollout = small.rollout(small.stack(SLEEP))
    lost = "export DOCKER_HOST=unix:///none; "
    monkeypatch.setattr(small.host, "start", lambda command, **io: start(lost + command, **io))
    with pytest.raises(TaskError, match=r"db was not replaced: .*Docker daemon at unix:///none"):
        small.roll(rollout)
    assert [each.id for each in small.running("db")] == before


def test_what_others_run_under_the_same_names_of_compose_stays(small):
    labels = [f"--label=com.docker.compose.{key}" for key in ("project", "service")]
    words = [f"{labels[0]}={small.name}", f"{labels[1]}=app", APP, "sleep", "600"]
    other = small.server.run("run", "--detach", "--rm", *words).strip()
    try:
        assert small.roll(small.rollout(small.stack(SLEEP))) == ""
        assert small.roll(small.rollout(small.first)) == ""
        small.settle()
        assert small.server.inspect("container", [other])[0]["State"]["Running"]
        assert len(small.running("app")) == 1
    finally:
        small.server.run("rm", "--force", other)


def test_without_a_health_check_a_replica_must_run_for_a_while(small):
    bare: dict[str, object] = {"healthcheck": {"disable": True}}
    dies = small.stack(SLEEP)
    dies.services["app"] |= {**bare, "command": ["sh", "-c", "sleep 2; exit 7"]}
    (old,) = small.running("app")
    assert small.roll(small.rollout(dies)) == "replica 1 exited (exit code 7)"
    assert [each.id for each in small.running("app") if each.accepted] == [old.id]
    stays = small.stack(SLEEP)
    stays.services["app"] |= bare
    assert small.roll(small.rollout(stays)) == ""
    (new,) = small.running("app")
    assert (new.health, new.release) == ("", str(small.release))


def test_a_database_on_a_network_of_others_stays_where_it_is(small):
    others, found = f"{small.name}-others", []
    small.server.run("network", "create", others)
    try:
        for _ in range(2):
            shared = {"default": None, "others": None}
            stack = small.stack(SLEEP, environment={}, networks=shared)
            stack.content["networks"]["others"] = {"external": True, "name": others}
            assert small.roll(small.rollout(stack)) == ""
            found.append([each.id for each in small.running("db")])
        assert found[0] == found[1]
        assert len(found[0]) == 1
    finally:
        small.remove()
        small.server.run("network", "rm", others)


def test_a_container_that_never_ran_may_be_on_a_network_that_is_gone(small):
    others = f"{small.name}-others"
    stack = small.stack(SLEEP, networks={"default": None, "others": None})
    stack.content["networks"]["others"] = {"external": True, "name": others}
    small.server.run("network", "create", others)
    # As a deployer leaves it that is killed then.
    small.server.create(rendering.generation(stack, ["db"], "2-cut"))
    small.server.run("network", "rm", others)
    assert len([each for each in small.server.containers() if each.service == "db"]) == 2
    assert small.roll(small.rollout(small.stack(SLEEP))) == ""


def test_a_network_is_as_the_stack_says_from_its_first_container_on(small):
    server = Server(small.ctx, small.env, f"{small.name}-new")
    name = f"{server.stack}_default"
    own, other = (
        Stack(server.stack, APP, {"networks": {"default": {"name": name, "internal": each}}})
        for each in (True, False)
    )
    # As server.setup makes it, which knows no stack.
    networks.make(server, {"name": name})
    try:
        assert networks.misfits(server, own) == []
        for _ in range(2):
            networks.prepare(server, own)
            (made,) = server.objects("network", f"name={name}")
            assert made["Internal"]
        server.run(
            "container", "create", f"--label={STACK}={server.stack}", f"--network={name}", APP
        )
        assert networks.misfits(server, own) == []
        (line,) = networks.misfits(server, other)
        assert "was made with another internal" in line
    finally:
        teardown.remove(server, volumes=True)
