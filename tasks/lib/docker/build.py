"""Builds images."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from invoke import Context

from ..errors import ExitCode, TaskError
from . import client

if TYPE_CHECKING:
    from python_on_whales import DockerClient


@dataclass(frozen=True)
class Build:
    """What to build: a stage of a Dockerfile in a folder, its tags, and how.

    Without a tag, the result stays in the builder's cache.
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
    """Build an image, and load it into the engine or push it, its cache included."""
    from python_on_whales.exceptions import NoSuchImage

    with client.connect(ctx, env) as docker:
        if len(wanted.platforms) > 1 and _one_at_a_time(docker):
            hint = "docker buildx create --use --driver docker-container, then retry"
            raise TaskError("this builder makes one platform at a time", hint, ExitCode.REFUSED)
        try:
            _build(docker, wanted)
        except NoSuchImage:
            # python-on-whales inspects what --dry has not built.
            if not ctx.config.run.dry:
                raise


def _build(docker: DockerClient, wanted: Build) -> None:
    tagged = bool(wanted.tags)
    docker.buildx.build(
        wanted.folder,
        file=wanted.folder / wanted.file,
        target=wanted.target,
        tags=list(wanted.tags),
        build_args=dict(wanted.args),
        labels=dict(wanted.labels),
        cache_from=[{"type": "registry", "ref": ref} for ref in wanted.caches],
        cache_to={"type": "inline"},
        platforms=list(wanted.platforms) or None,
        push=wanted.push and tagged,
        load=tagged and not wanted.push,
        output={} if tagged else {"type": "cacheonly"},
        cache=wanted.cache,
        pull=wanted.pull,
        provenance=False,
        progress="auto" if sys.stderr.isatty() else "plain",
    )


def _one_at_a_time(docker: DockerClient) -> bool:
    """Return whether the builder cannot build several platforms: the engine stores the images.

    https://docs.docker.com/build/building/multi-platform/#prerequisites
    """
    if docker.buildx.inspect().driver != "docker":
        return False
    store = dict(docker.system.info().driver_status or ()).get("driver-type", "")
    return not store.startswith("io.containerd.snapshotter")
