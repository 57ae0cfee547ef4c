"""What a job on a schedule sends with `status --notify`, and when that counts as sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from invoke import Config, Context

from tasks import observe
from tasks.lib.deploys import monitoring, shared_servers
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.orchestrators import kinds
from tasks.lib.project.messages import Messages
from tests.orchestrators.world import World
from tests.testbed.commands import Done, free_port
from tests.testbed.receivers import Receiver, receiver
from tests.testbed.sshds import SSHD, Sshd, make_key, public

FILE = Path("status/prod.txt")
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:PORT"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: prod, context: {cluster: c, user: u}}]
"""
UID = "6f1c0000-0000-0000-0000-000000000000"
# On a server where docker is, but no engine.
NO_ENGINE = "SetEnv DOCKER_HOST=unix:///nowhere/docker.sock\n"


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def key(tmp_path) -> Path:
    if SSHD is None:
        pytest.skip("no sshd on this machine")
    return make_key(tmp_path / "key")


@pytest.fixture
def server(tmp_path, key) -> Iterator[Sshd]:
    """A server that lets this user in, and has no engine."""
    with Sshd(tmp_path / "server", [public(key)], NO_ENGINE) as found:
        yield found


@pytest.fixture
def status(inv, there, tmp_path) -> Callable[..., Done]:
    """Runs `inv status --notify` of an environment with some hosts, as others configure it."""

    def run(*hosts: str, prod: dict[str, Any] | None = None, **env: str) -> Done:
        file = tmp_path / "given.yaml"
        environments = {"prod": {"hosts": [*hosts], **(prod or {})}}
        given = {"messages": {"webhook": there.url}, "environments": environments}
        file.write_text(yaml.safe_dump(given))
        return inv("status", "--env=prod", "--notify", INVOKE_RUNTIME_CONFIG=str(file), **env)

    return run


def why(there: Receiver) -> str:
    """What the only message says is wrong."""
    (request,) = there.got
    assert request.json["type"] == "status.problem"
    assert request.json["data"]["environment"] == "prod"
    return str(request.json["data"]["why"])


def test_a_server_that_is_away_is_told_and_fails_as_without_a_message(status, there):
    away = f"deploy@127.0.0.1:{free_port()}"
    done = status(away)
    assert done.returncode == ExitCode.REFUSED
    assert why(there).startswith(f"its status is unknown: {away}: ")
    assert "Connection refused" in why(there)
    assert done.stderr == f"inv: {why(there).partition(': ')[2]}\n"


def test_a_name_that_nobody_knows_is_told(status, there):
    assert status("deploy@server.invalid").returncode == ExitCode.REFUSED
    assert "could not resolve the hostname" in why(there)


def test_the_first_server_is_told_though_another_one_answers(status, there, server, key):
    away = f"deploy@127.0.0.1:{free_port()}"
    login = {"SSH_PRIVATE_KEY": key.read_text(), "SSH_KNOWN_HOSTS": server.known}
    assert status(away, server.name, **login).returncode == ExitCode.REFUSED
    assert away in why(there) and server.name not in why(there)


def test_a_host_key_that_is_another_one_is_told(status, there, server, key):
    known = server.known.replace(public(server.folder / "host"), public(key))
    login = {"SSH_PRIVATE_KEY": key.read_text(), "SSH_KNOWN_HOSTS": known}
    assert status(server.name, **login).returncode == ExitCode.REFUSED
    assert "host key mismatch" in why(there)


def test_a_login_that_is_refused_is_told_without_the_key(status, there, server, tmp_path):
    other = make_key(tmp_path / "other").read_text()
    login = {"SSH_PRIVATE_KEY": other, "SSH_KNOWN_HOSTS": server.known}
    assert status(server.name, **login).returncode == ExitCode.REFUSED
    assert "SSH authentication failed" in why(there)
    assert other.splitlines()[1] not in there.got[0].body.decode()


def test_an_engine_that_does_not_answer_there_is_told(status, there, server, key):
    login = {"SSH_PRIVATE_KEY": key.read_text(), "SSH_KNOWN_HOSTS": server.known}
    assert status(server.name, **login).returncode == ExitCode.FAILED
    assert "docker" in why(there)


def test_a_cluster_whose_api_is_away_is_told(status, there):
    place = {"orchestrator": "kubernetes", "kubernetes": {"context": "prod", "cluster": UID}}
    config = KUBECONFIG.replace("PORT", str(free_port()))
    assert status(prod=place, KUBECONFIG=config).returncode == ExitCode.REFUSED
    assert "prod/myapp-prod: no answer from" in why(there)


@pytest.mark.parametrize("wrong", [{"hosts": 7}, {"url": 7}])
def test_settings_that_are_wrong_are_told_nobody(status, there, wrong):
    assert status(prod=wrong).returncode == ExitCode.REFUSED
    assert there.got == []


def test_an_environment_that_is_none_is_told_nobody(inv, there, tmp_path):
    (tmp_path / "given.yaml").write_text(yaml.safe_dump({"messages": {"webhook": there.url}}))
    env = {"INVOKE_RUNTIME_CONFIG": str(tmp_path / "given.yaml")}
    assert inv("status", "--env=nowhere", "--notify", **env).returncode == ExitCode.REFUSED
    assert there.got == []


def test_without_a_receiver_it_is_refused_before_it_looks(inv):
    done = inv("status", "--env=prod", "--notify")
    assert done.returncode == ExitCode.REFUSED
    assert done.stderr.startswith("inv: --notify has no receiver: ")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def notify(world, there, server, key, tmp_path, monkeypatch) -> Callable[..., None]:
    """Runs the task for the world, whose server is a real one that is reached with SSH.

    A Prometheus is beside it, whose folder is the working directory.
    """
    world.move(f"{tmp_path}/home/deploy")
    world.target.orchestrator.inner.cluster.server = server.name
    monkeypatch.setenv("SSH_PRIVATE_KEY", key.read_text())
    monkeypatch.setenv("SSH_KNOWN_HOSTS", server.known)
    monkeypatch.setitem(kinds.KINDS, "swarm", lambda *_: world.target.orchestrator)
    stack = shared_servers.stack_name(world.target)
    world.target.orchestrator.beside(stack).running_now[monitoring.PROMETHEUS] = {
        "image": "p", "deploy": {},
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)

    def run(**messages: Any) -> None:
        known = msgspec.to_builtins(world.target.settings)
        known["environments"]["prod"]["hosts"] = [server.name]
        known["messages"] = msgspec.to_builtins(Messages(webhook=there.url, **messages))
        ctx = Context(Config(overrides={**known, "run": {"dry": False, "echo": False}}))
        observe.status.body(ctx, env="prod", notify=True)

    return run


def noted() -> bool:
    """Whether the look counts as one that came: nobody is told that it did not."""
    assert "app_status_time_seconds " in FILE.read_text()
    return "app_status_notify_time_seconds " in FILE.read_text()


def test_if_all_is_well_nothing_is_sent_and_the_look_is_noted(world: World, notify, there):
    world.deploy(world.image())
    assert not noted()
    notify()
    assert there.got == []
    assert noted()


def test_what_is_wrong_is_one_message_and_the_look_is_noted(world: World, notify, there):
    world.deploy(world.image())
    world.by_hand.scale("app", 1)
    world.by_hand.set_variable("worker", "A", "2")
    with pytest.raises(TaskError, match="2 values differ") as caught:
        notify()
    assert caught.value.code == ExitCode.FAILED
    assert "drift: 2 values differ from release 1" in why(there)
    assert noted()


def test_a_look_whose_message_one_receiver_refuses_is_not_noted(world: World, notify, there, capfd):
    world.deploy(world.image())
    world.by_hand.scale("app", 1)
    with receiver() as chat:
        chat.statuses = [404]
        with pytest.raises(TaskError, match="1 value differs"):
            notify(slack=chat.url)
        assert len(chat.got) == len(there.got) == 1
        assert not noted()
        assert "the chat did not get a message: HTTP status 404" in capfd.readouterr().err
        with pytest.raises(TaskError, match="1 value differs"):
            notify(slack=chat.url)
    assert noted()
