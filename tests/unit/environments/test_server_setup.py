"""Which ports a server has open, and a firewall that lets nobody in again is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml
from invoke import Config, Context

from tasks.lib.environments import server_setup
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.project.server import Server as Rules
from tasks.lib.project.settings import FILE, ROOT, Settings
from tasks.lib.provisioning.item import Difference, Item
from tasks.lib.provisioning.server import Server
from tasks.lib.ssh.host import connected
from tests.testbed.commands import free_port
from tests.testbed.sshds import Sshd, make_key, public


@pytest.fixture
def settings() -> Settings:
    """The settings of the project."""
    values = yaml.safe_load((ROOT / FILE).read_text("utf-8"))
    return msgspec.convert({key: values[key] for key in values if key != "tasks"}, Settings)


def test_a_servers_ports_are_those_of_all_its_environments(settings):
    staging, review = (settings.environment(name) for name in ("staging", "review/x"))
    assert server_setup.open_ports(settings, "staging.example.com") == {"80/tcp", "443/tcp"}
    reviews = server_setup.open_ports(settings, "review.example.com")
    assert reviews == {f"{port}/tcp" for key in ("HTTP_PORT", "HTTPS_PORT")
                       for port in review.values[key]}  # fmt: skip
    both = {"staging": staging, "other": msgspec.structs.replace(staging, values={"HTTP_PORT": 81})}
    shared = msgspec.structs.replace(
        settings, environments=both, server=Rules(ports=[8443, "51820/udp", "25/tcp"])
    )
    assert server_setup.open_ports(shared, "staging.example.com") == {
        *("80/tcp", "81/tcp", "443/tcp", "8443/tcp", "51820/udp", "25/tcp")
    }


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """This machine as a server, which tests only look at."""
    # Where tests are not run as root, this sudo lets anybody be what he is.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sudo").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    (tmp_path / "bin/sudo").chmod(0o755)
    key, path = make_key(tmp_path / "key"), f"{tmp_path}/bin:/usr/bin:/bin"
    with Sshd(tmp_path / "sshd", [public(key)], f"SetEnv PATH={path} SHLVL=5\n") as made:
        monkeypatch.setenv("SSH_PRIVATE_KEY", str(key))
        monkeypatch.setenv("SSH_KNOWN_HOSTS", made.known)
        yield made


def test_a_firewall_that_lets_nobody_in_is_taken_back(sshd, tmp_path):
    with connected(Context(), [sshd.name]) as (host,):
        server = Server(host, [], [f"touch {tmp_path}/undone"])
        server_setup._confirm(Context(), [server])
        assert not (tmp_path / "undone").exists()
        sshd.stop_listening()
        with pytest.raises(TaskError, match="no new SSH connection came through the firewall"):
            server_setup._confirm(Context(), [server])
        assert (tmp_path / "undone").exists()


def context(name: str, **values: object) -> Context:
    """The settings of the project, with another environment."""
    place = {"hosts": ["deploy@127.0.0.1"], "url": "http://127.0.0.1", "values": {}, **values}
    content = yaml.safe_load((ROOT / FILE).read_text("utf-8"))
    content["environments"] |= {name: place}
    return Context(Config(overrides=content))


def test_a_server_is_looked_at_as_its_admin(sshd):
    user, _, address = sshd.name.partition("@")
    ctx = context("bare", hosts=[f"deploy@{address}"], admin=user)
    with server_setup.reach(ctx, "bare") as (server,):
        assert server.host.name == sshd.name
        names = [item.name for item in server.items]
        assert names.index("user") < names.index("engine")
        found = server_setup.differences([server])
    assert all(line.startswith(f"{sshd.name}: ") for line, _ in found)


def test_a_server_that_is_away_is_refused_before_any_is_changed(sshd):
    user, _, address = sshd.name.partition("@")
    hosts = [f"deploy@{address}", f"deploy@127.0.0.1:{free_port()}"]
    with (
        pytest.raises(TaskError, match="1 of 2 servers answer") as caught,
        server_setup.reach(context("bare", hosts=hosts, admin=user), "bare"),
    ):
        pass
    assert caught.value.code == ExitCode.REFUSED


def test_an_environment_without_an_admin_is_left_to_others(capfd):
    with server_setup.reach(context("bare"), "bare") as servers:
        assert [*servers] == []
    assert "its servers are set up by other means" in capfd.readouterr().err


def test_what_differs_is_made_once_and_nothing_if_a_person_must_act(sshd, tmp_path, capfd):
    file = tmp_path / "made"
    look, make = f"cat {file} 2>/dev/null || true", f"echo it >{file}\n"
    one = Item("file", look, lambda state: [] if state else [Difference("missing")], lambda _: make)
    other = Item("other", "echo a", lambda _: [Difference("wrong", "do it there")], lambda _: "")
    with connected(Context(), [sshd.name]) as (host,):
        with pytest.raises(TaskError, match="other: wrong - do it there") as caught:
            server_setup.set_up(Context(), [Server(host, [one, other])])
        assert caught.value.code == ExitCode.REFUSED
        assert not file.exists()
        assert server_setup.set_up(Context(), [Server(host, [one])])
        assert file.read_text() == "it\n"
        assert f"{sshd.name}: set up file (missing)" in capfd.readouterr().err
        assert not server_setup.set_up(Context(), [Server(host, [one])])
