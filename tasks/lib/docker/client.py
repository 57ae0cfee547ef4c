"""Docker, through python-on-whales: the one door to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .. import process
from ..errors import ExitCode, TaskError
from .cli import call, echo

if TYPE_CHECKING:
    from invoke import Context
    from python_on_whales import DockerClient

# Seconds that the engine of a CI job may take to start.
SERVICE = 60


def version(timeout: float = 10) -> str:
    """The version of the engine that answers within `timeout` seconds; empty when none does.

    One that is the service of a CI job, which has only just been started, is waited for.
    """
    deadline = time.monotonic() + (SERVICE if is_service() else 0)
    while not (found := _version(timeout)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def is_service() -> bool:
    """Whether the engine is the service of a CI job, as with GitLab's Docker executor."""
    address = os.environ.get("DOCKER_HOST", "")
    return os.environ.get("CI") == "true" and address.startswith("tcp://")


def _version(timeout: float) -> str:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def plugin(name: str) -> str:
    """The version of a plugin of the client, such as compose; empty when it has none."""
    try:
        done = subprocess.run(["docker", name, "version"], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 else ""


def ask(ctx: Context, env: Mapping[str, str | None], *words: str, text: str = "") -> str:
    """What a command of docker's prints, for what python-on-whales has no words.

    Args:
        env: variables for docker, such as DOCKER_HOST.
        text: what it reads.
    Raises python-on-whales' DockerException when it fails.
    """
    from python_on_whales import DockerClient
    from python_on_whales.utils import run

    client = DockerClient(client_call=call(ctx, env))
    return str(run([*client.docker_cmd, *words], input=text.encode()))


def both(command: Sequence[str]) -> list[str]:
    """The lines that a command of docker's writes on stdout and stderr.

    Raises python-on-whales' DockerException, its stderr both outputs, when it fails.
    """
    done = subprocess.run(echo(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise failure(command, done.returncode, done.stdout)
    return done.stdout.decode(errors="replace").splitlines()


def failure(command: Sequence[str], status: int, said: bytes) -> Exception:
    """python-on-whales' DockerException for a command that failed."""
    from python_on_whales.exceptions import DockerException

    return DockerException(list(command), status, stderr=said)


def compose(
    ctx: Context, files: Sequence[Path], project: str, env: Mapping[str, str | None]
) -> DockerClient:
    """A client for one Compose project.

    Args:
        files: the base file and its overlay; paths in them are relative to their folder.
        project: the project's name, which its containers, networks and volumes begin with.
        env: variables for the files' interpolation; no secret, since they show in argv.
    """
    from python_on_whales import DockerClient

    return DockerClient(
        client_call=call(ctx, env),
        compose_files=list(files),
        compose_project_name=project,
        compose_project_directory=files[0].parent,
    )


@dataclass(frozen=True)
class Build:
    """What to build: a stage of a Dockerfile in a folder, what to call it, and how.

    Without a name it stays in the builder's cache.
    """

    folder: Path
    target: str
    tags: Sequence[str]
    file: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    caches: Sequence[str] = ()
    platforms: Sequence[str] = ()
    push: bool = False
    cache: bool = True
    pull: bool = False


def build(ctx: Context, wanted: Build, env: Mapping[str, str]) -> None:
    """Build an image and load it into the engine, or push it, with its cache written into it."""
    from python_on_whales import DockerClient
    from python_on_whales.exceptions import NoSuchImage

    client = DockerClient(client_call=call(ctx, env))
    if len(wanted.platforms) > 1 and _one_at_a_time(client):
        hint = "docker buildx create --use --driver docker-container, then again"
        raise TaskError("this builder makes one platform at a time", hint, ExitCode.REFUSED)
    named = bool(wanted.tags)
    try:
        client.buildx.build(
            wanted.folder,
            file=wanted.folder / wanted.file,
            target=wanted.target,
            tags=list(wanted.tags),
            build_args=dict(wanted.args),
            labels=dict(wanted.labels),
            cache_from=[{"type": "registry", "ref": ref} for ref in wanted.caches],
            cache_to={"type": "inline"},
            platforms=list(wanted.platforms) or None,
            push=wanted.push and named,
            load=named and not wanted.push,
            output={} if named else {"type": "cacheonly"},
            cache=wanted.cache,
            pull=wanted.pull,
            provenance=False,
            progress="auto" if sys.stderr.isatty() else "plain",
        )
    except NoSuchImage:
        if not ctx.config.run.dry:
            raise


def _one_at_a_time(client: DockerClient) -> bool:
    """Whether images of several platforms cannot be made: the engine keeps them in its own store.

    https://docs.docker.com/build/building/multi-platform/#prerequisites
    """
    if client.buildx.inspect().driver != "docker":
        return False
    store = dict(client.system.info().driver_status or ()).get("driver-type", "")
    return not store.startswith("io.containerd.snapshotter")


def layers(ctx: Context, name: str) -> list[str]:
    """The layers of an image that the engine has, the lowest first."""
    from python_on_whales import DockerClient

    found = DockerClient(client_call=call(ctx, {})).image.inspect(name).root_fs.layers
    return list(found or [])


def remove(ctx: Context, name: str) -> None:
    """Take a name away from an image, and the image if it has no other."""
    from python_on_whales import DockerClient

    DockerClient(client_call=call(ctx, {})).image.remove(name, force=True)


def has(ctx: Context, name: str) -> bool:
    """Whether the engine has an image."""
    from python_on_whales import DockerClient

    return DockerClient(client_call=call(ctx, {})).image.exists(name)


def pull(ctx: Context, name: str) -> None:
    """Pull an image. Raises TaskError when it cannot."""
    from python_on_whales import DockerClient
    from python_on_whales.exceptions import DockerException

    client = DockerClient(client_call=call(ctx, {}))
    try:
        client.image.pull(name, quiet=True)
    except DockerException as error:
        said = (error.stderr or "it says nothing").strip().splitlines()[-1]
        hint = "lab/engine up makes a stand-in where Docker Hub does not answer"
        raise TaskError(f"docker pull {name}: {said}", hint) from None


def forget(ctx: Context, host: str) -> None:
    """Take away all names of images that begin with a registry's."""
    from python_on_whales import DockerClient

    client = DockerClient(client_call=call(ctx, {}))
    for image in client.image.list():
        names = [*image.repo_tags, *image.repo_digests]
        if mine := [name for name in names if name.startswith(f"{host}/")]:
            client.image.remove(mine, force=True)


def attempt(action: Callable[[], object]) -> str | None:
    """What an action of docker's prints; None when it fails."""
    from python_on_whales.exceptions import DockerException

    try:
        return str(action())
    except DockerException:
        return None


def output(ctx: Context, image: str, script: str, env: Mapping[str, str]) -> str:
    """What a shell script prints in an image, cut off from any network."""
    from python_on_whales import DockerClient

    client = DockerClient(client_call=call(ctx, env))
    done = client.run(image, ["-c", script], entrypoint="sh", remove=True, networks=["none"])
    return str(done)


def attach(client: DockerClient, *words: str) -> int:
    """Run a Compose command with this terminal, for what python-on-whales captures or lacks.

    Returns its exit status. Ctrl-C ends it, and is raised again.
    """
    command = echo([*client.client_config.docker_compose_cmd, *words])
    return process.wait(subprocess.Popen(command))
