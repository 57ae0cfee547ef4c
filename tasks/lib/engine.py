"""Docker, through python-on-whales: the one door to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import process

if TYPE_CHECKING:
    from invoke import Context
    from python_on_whales import DockerClient

ECHO = Path(__file__).with_name("echo.py")


def version(timeout: float = 10) -> str:
    """The version of the engine that answers within `timeout` seconds; empty when none does."""
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


def call(ctx: Context, env: Mapping[str, str]) -> list[str]:
    """The words that run docker, with variables for it, and printed under --echo and --dry."""
    words = ["docker"]
    if env:
        words = ["env", *(f"{key}={value}" for key, value in env.items()), *words]
    if ctx.config.run.dry or ctx.config.run.echo:
        words = [sys.executable, str(ECHO), "dry" if ctx.config.run.dry else "echo", *words]
    return words


def compose(
    ctx: Context, files: Sequence[Path], project: str, env: Mapping[str, str]
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


def attach(client: DockerClient, *words: str) -> int:
    """Run a Compose command with this terminal, for what python-on-whales captures or lacks.

    Returns its exit status. Ctrl-C ends it, and is raised again.
    """
    command = [str(word) for word in client.client_config.docker_compose_cmd + list(words)]
    return process.wait(subprocess.Popen(command))
