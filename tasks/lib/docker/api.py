"""An engine's HTTP API: quicker than the docker command, and for the little that it cannot do."""

from __future__ import annotations

import json
import os
import socket
from collections import defaultdict
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from invoke import Context

from .. import console
from .cli import DockerError, Env

SOCKET = "unix:///var/run/docker.sock"
# Seconds that an answer may take.
TIMEOUT = 30


class _Connection(HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker")
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)

    def ask(self, *request: Any) -> tuple[int, str]:
        """Return the status of an engine's answer, and its text."""
        self.request(*request)
        answer = self.getresponse()
        return answer.status, answer.read().decode()


# The open connections to each socket that nobody uses now.
_idle: dict[str, list[_Connection]] = defaultdict(list)


def call(ctx: Context, env: Env, path: str, body: Any = None, auth: str = "") -> Any:
    """Return the JSON of an engine's answer to a GET, or with a body to a POST.

    Args:
        auth: the login to a registry, as Login.header gives it.
    Raises DockerError when it fails.
    """
    command = ["docker", "api", "GET" if body is None else "POST", path]
    options = ctx.config.run
    if body is not None and (options.dry or options.echo):
        console.say(console.colour(" ".join(command), 1))
        if options.dry:
            return None
    address = env.get("DOCKER_HOST") or os.environ.get("DOCKER_HOST") or SOCKET
    content = None if body is None else json.dumps(body)
    headers = {"Content-Type": "application/json"} | ({"X-Registry-Auth": auth} if auth else {})
    try:
        known = address.removeprefix("unix://")
        status, text = _answer(known, body is None, command[2], path, content, headers)
    except (OSError, HTTPException) as error:
        raise DockerError(command, 1, f"the engine does not answer: {error}") from None
    if status >= 400:
        raise DockerError(command, 1, _message(text))
    return json.loads(text) if text else None


def _answer(address: str, reads: bool, *request: Any) -> tuple[int, str]:
    """Ask over an open connection, if one is idle and the request may be sent twice, or a new one.

    The other side may have closed an idle one meanwhile, or another thread has taken it.
    """
    for gone in [each for each in [*_idle] if not Path(each).exists()]:
        for connection in _idle.pop(gone, []):
            connection.close()
    idle = _idle[address]
    while reads and idle:
        try:
            return _kept(idle.pop(), idle, *request)
        except TimeoutError:
            raise
        except (OSError, HTTPException, IndexError):
            continue
    return _kept(_Connection(address), idle, *request)


def _kept(connection: _Connection, idle: list[_Connection], *request: Any) -> tuple[int, str]:
    """Ask over a connection, and keep it for the next who asks."""
    try:
        found = connection.ask(*request)
    except BaseException:
        connection.close()
        raise
    if connection.sock:
        idle.append(connection)
    return found


def _message(text: str) -> str:
    """Return why an engine refuses, from its answer."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(text)["message"])
    return text.strip()
