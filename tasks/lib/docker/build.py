"""Builds images."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from invoke import Context

from ..errors import ExitCode, TaskError
from . import client

# The secrets of the Dockerfile, and the variables that name their files.
SECRETS = {"pip.conf": "PIP_CONFIG_FILE", "npmrc": "NPM_CONFIG_USERCONFIG"}


@dataclass(frozen=True)
class Build:
    """A stage of a Dockerfile in a folder; without a tag, it stays in the builder's cache."""

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
    """Build an image, and load it into the engine or push it, its cache included."""
    from python_on_whales.exceptions import NoSuchImage

    if len(wanted.platforms) > 1 and _one_at_a_time(ctx, env):
        hint = "docker buildx create --use --driver docker-container, then retry"
        raise TaskError("this builder makes one platform at a time", hint, ExitCode.REFUSED)
    tagged = bool(wanted.tags)
    # python-on-whales inspects what --dry has not built.
    missing = [NoSuchImage] if ctx.config.run.dry else []
    with client.connect(ctx, env) as docker, suppress(*missing):
        docker.buildx.build(
            wanted.folder, file=wanted.folder / wanted.file, target=wanted.target,
            tags=[*wanted.tags], build_args={**wanted.args}, labels={**wanted.labels},
            cache_from=[{"type": "registry", "ref": ref} for ref in wanted.caches],
            cache_to={"type": "inline"}, cache=wanted.cache, pull=wanted.pull,
            push=wanted.push and tagged, load=tagged and not wanted.push,
            output={} if tagged else {"type": "cacheonly"},
            platforms=[*wanted.platforms] or None, provenance=False, secrets=_secrets(),
            progress="auto" if sys.stderr.isatty() else "plain",
        )  # fmt: skip


def _secrets() -> list[str]:
    """Return what only the build sees: the configurations of pip and npm that variables name."""
    found = {id: os.environ.get(name, "") for id, name in SECRETS.items()}
    return [f"id={id},src={path}" for id, path in found.items() if os.path.isfile(path)]


def _one_at_a_time(ctx: Context, env: Mapping[str, str]) -> bool:
    """Return whether the builder cannot build several platforms: the engine stores the images.

    https://docs.docker.com/build/building/multi-platform/#prerequisites
    """
    with client.connect(ctx, env) as docker:
        if docker.buildx.inspect().driver != "docker":
            return False
        store = dict(docker.system.info().driver_status or ()).get("driver-type", "")
    return not store.startswith("io.containerd.snapshotter")
