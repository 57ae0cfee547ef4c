"""Docker's way to a server: what the engine says comes through, and why there is none."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import contextmanager

import pytest
from invoke import Context

from tasks.lib.docker.cli import DockerError
from tasks.lib.orchestrators.preflight import engine_problem
from tasks.lib.orchestrators.swarm.client import Swarm
from tasks.lib.ssh.host import connected
from tests.testbed.sshds import USER, Sshd, public

# What Docker 26 prints on a server.
DENIED = (
    "permission denied while trying to connect to the Docker daemon socket at "
    "unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied"
)
ENGINE = r"""
read -r line
body='{"Hello": "world"}'
printf 'HTTP/1.1 200 OK\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' "${#body}" "$body"
"""


@contextmanager
def server(net, tmp_path, docker: str):
    """Give a host whose command docker is a script; an empty one means that it has none."""
    (tmp_path / "bin").mkdir()
    if docker:
        (tmp_path / "bin/docker").write_text(f"#!/bin/sh\n{docker}")
        (tmp_path / "bin/docker").chmod(0o755)
    for name in ("sh", "cat", "base64", "id"):
        path = next(p for p in (f"/usr/bin/{name}", f"/bin/{name}") if os.path.exists(p))
        (tmp_path / "bin" / name).symlink_to(path)
    more = f"SetEnv PATH={tmp_path}/bin SHLVL=5\n"
    with Sshd(tmp_path / "sshd", [public(net.folder / "key")], more) as sshd:
        env = {"SSH_CONFIG": str(net.write("<key>")), "SSH_KNOWN_HOSTS": sshd.known}
        with connected(Context(), [sshd.name], {"PATH": "/usr/bin:/bin", **env}) as (host,):
            yield host


def ask(address: str) -> tuple[str, dict[str, str]]:
    """Ask the engine at an address; returns the answer's status, and its body."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address.removeprefix("unix://"))
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    head, _, body = answer.decode().partition("\r\n\r\n")
    return head.split()[1], json.loads(body)


def test_an_engine_answers(net, tmp_path):
    with server(net, tmp_path, ENGINE) as host:
        env = host.docker()
        answers = [ask(env["DOCKER_HOST"]) for _ in range(3)]
    assert answers == [("200", {"Hello": "world"})] * 3


@pytest.mark.parametrize(
    ("docker", "expected"),
    [
        (f"echo '{DENIED}' >&2; exit 1", DENIED),
        ("exit 3", "docker system dial-stdio: exit status 3"),
        ("", "docker: not found"),
    ],
)
def test_why_there_is_no_engine_is_its_answer(net, tmp_path, docker, expected):
    with server(net, tmp_path, docker) as host:
        env = host.docker()
        status, body = ask(env["DOCKER_HOST"])
    assert status == "502"
    assert body["message"].endswith(expected) or "docker: command not found" in body["message"]


@pytest.mark.parametrize(
    ("docker", "expected"),
    [
        (
            f"echo '{DENIED}' >&2; exit 1",
            f"{USER} may not use Docker - add {USER} to the group docker there: "
            f"sudo usermod -aG docker {USER}, then log in again",
        ),
        ("", "no docker on the PATH of a command over SSH ("),
        ("echo no engine >&2; exit 1", "its Docker engine does not answer ("),
    ],
)
def test_preflight_says_at_once_what_to_do(net, tmp_path, docker, expected):
    began = time.monotonic()
    with server(net, tmp_path, docker) as host:
        env = host.docker()
        with pytest.raises(DockerError) as raised:
            Swarm(Context(), env).info()
        problem = engine_problem(host, raised.value.reason)
    assert time.monotonic() - began < 3
    assert problem.startswith(f"{host.name}: {expected}")
