"""Which ports a server has open, and a firewall that lets nobody in again is taken back."""

from __future__ import annotations

import msgspec
import pytest
import yaml
from invoke import Context

from tasks.lib.environments import server_setup
from tasks.lib.errors import TaskError
from tasks.lib.project.server import Server as Rules
from tasks.lib.project.settings import FILE, ROOT, Settings
from tasks.lib.provisioning.server import Server
from tasks.lib.ssh.host import connected
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


def test_a_firewall_that_lets_nobody_in_is_taken_back(tmp_path, monkeypatch):
    # Where tests are not run as root, this sudo lets anybody be what he is.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sudo").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    (tmp_path / "bin/sudo").chmod(0o755)
    key, path = make_key(tmp_path / "key"), f"{tmp_path}/bin:/usr/bin:/bin"
    with Sshd(tmp_path / "sshd", [public(key)], f"SetEnv PATH={path} SHLVL=5\n") as sshd:
        monkeypatch.setenv("SSH_PRIVATE_KEY", str(key))
        monkeypatch.setenv("SSH_KNOWN_HOSTS", sshd.known)
        with connected(Context(), [sshd.name]) as (host,):
            server = Server(host, [], [f"touch {tmp_path}/undone"])
            server_setup._confirm(Context(), [server])
            assert not (tmp_path / "undone").exists()
            sshd.stop_listening()
            with pytest.raises(TaskError, match="no new SSH connection came through the firewall"):
                server_setup._confirm(Context(), [server])
            assert (tmp_path / "undone").exists()
