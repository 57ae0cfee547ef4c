"""Ways to servers: what an engine or a program there says comes through, and why there is none."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from invoke import Context

from tasks.lib.docker.cli import DockerError
from tasks.lib.errors import TaskError
from tasks.lib.orchestrators.preflight import engine_problem
from tasks.lib.orchestrators.swarm.client import Swarm
from tasks.lib.ssh.host import connected
from tasks.lib.ssh.tunnel import to_port
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
        ("exit 3", "exit status 3"),
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


# Answers requests on its stdin, with the number of its process, until that ends.
ANSWERS = """
import os, sys
body = str(os.getpid()).encode()
while line := sys.stdin.buffer.readline():
    if not line.strip():
        head = f"HTTP/1.1 200 OK\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n".encode()
        sys.stdout.buffer.write(head + body)
        sys.stdout.flush()
"""


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return str(answer.read().decode())


def test_a_port_leads_to_a_program_of_a_server_and_leaves_nothing(net, tmp_path):
    started: list[subprocess.Popen[bytes]] = []
    (tmp_path / "answers.py").write_text(ANSWERS)
    with server(net, tmp_path, ENGINE) as host:

        def start(**streams: object) -> subprocess.Popen[bytes]:
            started.append(
                host.start(f"{shlex.quote(sys.executable)} {tmp_path}/answers.py", **streams)
            )
            return started[-1]

        with to_port(start, 0) as port:
            pids = [fetch(port) for _ in range(3)]
            with pytest.raises(TaskError, match=f"port {port}: Address already in use - choose"):
                to_port(start, port).__enter__()
    assert len({*pids}) == 3
    with pytest.raises(OSError):
        fetch(port)
    deadline = time.monotonic() + 10
    while any(each.poll() is None for each in started) or any(
        Path(f"/proc/{pid}").exists() for pid in pids
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
