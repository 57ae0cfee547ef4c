"""The engine and its images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from invoke import Context

from .. import process
from ..errors import TaskError
from . import cli

if TYPE_CHECKING:
    from python_on_whales import DockerClient

# Seconds that the engine of a CI job may take to start.
SERVICE = 60


@contextmanager
def connect(ctx: Context, env: cli.Env | None = None, **options: object) -> Iterator[DockerClient]:
    """Yield a client of python-on-whales; its DockerException becomes a DockerError.

    Args:
        options: more of DockerClient.
    """
    from python_on_whales import DockerClient
    from python_on_whales.exceptions import DockerException

    try:
        yield DockerClient(client_call=cli.call(ctx, env), **options)  # type: ignore[arg-type]
    except DockerException as error:
        command = [str(word) for word in error.docker_command]
        output = error.stderr or "", error.stdout or ""
        raise cli.DockerError(command, error.return_code, *output) from None


def version(ctx: Context, timeout: float = 10) -> str:
    """Return the version of the engine that answers within `timeout` seconds; empty if none does.

    Waits for an engine that is the service of a CI job: it may have only just been started.
    """
    with suppress(TimeoutError):
        limit = SERVICE if is_service() else 0
        return process.wait_until(lambda: _version(ctx, timeout), limit, poll=0.5)
    return ""


def is_service() -> bool:
    """Return whether the engine is the service of a CI job, as with GitLab's Docker executor."""
    address = os.environ.get("DOCKER_HOST", "")
    return os.environ.get("CI") == "true" and address.startswith("tcp://")


def _version(ctx: Context, timeout: float) -> str:
    words = ("version", "--format", "{{.Server.Version}}")
    with suppress(TaskError):
        return cli.run(ctx, *words, reads=True, timeout=timeout).strip()
    return ""


def plugin(ctx: Context, name: str) -> str:
    """Return the version of a plugin of the client, such as compose; empty if it is missing."""
    with suppress(TaskError):
        return cli.run(ctx, name, "version", reads=True).strip().partition("\n")[0]
    return ""


def layers(ctx: Context, name: str) -> list[str]:
    """Return the layers of an image of the engine, the lowest first."""
    with connect(ctx) as docker:
        return list(docker.image.inspect(name).root_fs.layers or [])


def remove(ctx: Context, name: str) -> None:
    """Remove a name of an image, and the image if it has no other."""
    with connect(ctx) as docker:
        docker.image.remove(name, force=True)


def has(ctx: Context, name: str) -> bool:
    """Return whether the engine has an image."""
    with connect(ctx) as docker:
        return docker.image.exists(name)


def pull(ctx: Context, name: str) -> None:
    """Pull an image. Raises TaskError when that fails."""
    try:
        with connect(ctx) as docker:
            docker.image.pull(name, quiet=True)
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
    with connect(ctx, env) as docker:
        words = ["-c", script]
        return str(docker.run(image, words, entrypoint="sh", remove=True, networks=["none"]))
