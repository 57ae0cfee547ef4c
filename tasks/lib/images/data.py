"""The image with the tools for backups: built once for each content, beside those of the app."""

from __future__ import annotations

import hashlib

from invoke import Context

from .. import console
from ..docker.build import Build, build
from ..errors import ExitCode, TaskError
from ..project.settings import ROOT
from ..registry.client import Registry
from . import login, tags

FILE = "docker/data.Dockerfile"
SOURCES = (FILE, "requirements/data.txt", "docker/data/*.py")


def tag() -> str:
    """Return the tag of the tools of this work tree."""
    digest = hashlib.sha256()
    for file in sorted(each for pattern in SOURCES for each in ROOT.glob(pattern)):
        digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    return tags.data(digest.hexdigest()[:12])


def push(ctx: Context, registry: Registry) -> None:
    """Build and push the tools, unless the registry has them."""
    if registry.find(tag()):
        return
    console.step("building the tools for backups")
    wanted = Build(ROOT, "data", [str(registry.image.tagged(tag()))], file=FILE, push=True)
    with login.logged_in(ctx, registry.login) as env:
        build(ctx, wanted, env)


def image(registry: Registry) -> str:
    """Return the image by its digest. Raises TaskError if the registry lacks it."""
    if digest := registry.digest(tag()):
        return str(registry.image.at(digest))
    raise TaskError(
        "the registry lacks the tools for backups", "inv build --push", ExitCode.REFUSED
    )
