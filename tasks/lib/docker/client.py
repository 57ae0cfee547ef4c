"""The engine and its images."""

from __future__ import annotations

import logging
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from invoke import Context

from .. import process
from ..errors import ExitCode, TaskError
from . import cli

if TYPE_CHECKING:
    from python_on_whales import DockerClient

# Seconds that the engine of a CI job may take to start, and that any may take to answer.
SERVICE, ANSWER = 60, 10
# What docker writes when no engine runs. Any other failure is a person's to correct.
ABSENT = (
    *("cannot connect to the docker daemon", "failed to connect to the docker api"),
    *("error during connect", "timed out"),
)


@contextmanager
def connect(ctx: Context, env: cli.Env | None = None) -> Iterator[DockerClient]:
    """Yield a client of python-on-whales; its DockerException becomes a DockerError."""
    from python_on_whales import DockerClient
    from python_on_whales.exceptions import DockerException

    log = logging.getLogger("python_on_whales.utils")
    log.addFilter(_logged)
    log.setLevel(logging.DEBUG)
    try:
        yield DockerClient(client_call=cli.call(ctx, env))
    except DockerException as error:
        command = [str(word) for word in error.docker_command]
        output = error.stderr or "", error.stdout or ""
        raise cli.DockerError(command, error.return_code, *output) from None


def _logged(record: logging.LogRecord) -> bool:
    """Print a command that python-on-whales logs, as cli prints its own; log nothing else."""
    cli.printed(shlex.split(record.getMessage().removeprefix("Running command: ")))
    return False


def version(ctx: Context) -> str:
    """Return the version of the engine; empty if none runs.

    Waits for an engine that is the service of a CI job: it may have only just been started. Raises
    DockerError when this user may not use the engine, or docker is configured wrongly.
    """
    limit = SERVICE if is_service() else 0
    with suppress(TimeoutError):
        return process.wait_until(lambda: _version(ctx, bool(limit)), limit, poll=0.5)
    return ""


def _version(ctx: Context, starting: bool) -> str:
    """Return the version of the engine; empty if none runs, or if it may still be starting."""
    try:
        words = ("version", "--format", "{{.Server.Version}}")
        return cli.run(ctx, *words, reads=True, timeout=ANSWER).strip().partition("\n")[0]
    except cli.DockerError as error:
        why = error.stderr.lower()
        if starting or ("permission denied" not in why and any(sign in why for sign in ABSENT)):
            return ""
        error.code = ExitCode.REFUSED
        raise
    except TaskError:
        return ""


def is_service() -> bool:
    """Return whether the engine is the service of a CI job, as with GitLab's Docker executor."""
    address = os.environ.get("DOCKER_HOST", "")
    return os.environ.get("CI") == "true" and address.startswith("tcp://")


def plugin(ctx: Context, name: str) -> str:
    """Return the version of a plugin of the client, such as compose; empty if it is missing."""
    return _answer(ctx, name, "version")


def command_version(ctx: Context) -> str:
    """Return the version of the docker command of this machine; 0.0 if that is unknown."""
    found = re.search(r"\d+[.]\d+[.\d]*", _answer(ctx, "--version"))
    return found[0] if found else "0.0"


def _answer(ctx: Context, *words: str) -> str:
    """Return the first line of what a command that only reads writes; empty if it fails."""
    with suppress(TaskError):
        return cli.run(ctx, *words, reads=True, timeout=ANSWER).strip().partition("\n")[0]
    return ""


def layers(ctx: Context, name: str) -> list[str]:
    """Return the layers of an image of the engine, the lowest first."""
    with connect(ctx) as docker:
        return list(docker.image.inspect(name).root_fs.layers or [])


def remove(ctx: Context, name: str) -> None:
    """Remove a name of an image, and the image if it has no other."""
    cli.run(ctx, "image", "rm", "--force", name)


def has(ctx: Context, name: str) -> bool:
    """Return whether the engine has an image."""
    with connect(ctx) as docker:
        return docker.image.exists(name)


def pull(ctx: Context, name: str) -> None:
    """Pull an image. Raises TaskError when that fails."""
    try:
        cli.run(ctx, "image", "pull", "--quiet", name)
    except cli.DockerError as error:
        hint = "if Docker Hub is out of reach, lab/engine up builds a stand-in"
        raise TaskError(f"docker pull {name}: {error.reason}", hint) from None


def forget(ctx: Context, host: str) -> None:
    """Remove all names of images that begin with a registry's."""
    # One listing: an image that python-on-whales inspects later may be gone by then.
    shown = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
    listed = cli.run(ctx, "image", "ls", "--digests", "--format", shown, reads=True).split()
    names = {name for name in listed if name.startswith(f"{host}/") and "<none>" not in name}
    if names:
        cli.run(ctx, "image", "rm", "--force", *sorted(names))


def output(ctx: Context, image: str, script: str, env: Mapping[str, str]) -> str:
    """Return what a shell script prints in an image, without any network."""
    words = ("run", "--rm", "--network=none", "--entrypoint=sh", image, "-c", script)
    return cli.run(ctx, *words, env=env)
