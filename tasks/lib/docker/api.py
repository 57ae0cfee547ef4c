"""An engine's HTTP API, for the little that the docker command cannot do."""

from __future__ import annotations

import json
import os
import socket
from http.client import HTTPConnection, HTTPException
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
    connection = _Connection(address.removeprefix("unix://"))
    try:
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} | ({"X-Registry-Auth": auth} if auth else {})
        connection.request(command[2], path, content, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, HTTPException) as error:
        raise DockerError(command, 1, f"the engine does not answer: {error}") from None
    finally:
        connection.close()
    if answer.status >= 400:
        raise DockerError(command, 1, json.loads(text)["message"])
    return json.loads(text) if text else None
