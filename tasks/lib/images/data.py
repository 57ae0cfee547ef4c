"""The images for the data, built once for each content beside those of the app: see FILE."""

from __future__ import annotations

import hashlib
import re

from invoke import Context

from .. import console
from ..docker.build import Build, build
from ..errors import ExitCode, TaskError
from ..project.app_settings import Services
from ..project.settings import ROOT
from ..registry.client import Registry
from . import login, tags

FILE = "docker/data.Dockerfile"
# The file that names the database's own image.
BASE = "compose/base.yml"
# The stages: the tools for backups; the database with continuous archiving. What each is made of.
TOOLS, DATABASE = "data", "database"
SOURCES = {
    TOOLS: ("requirements/data.txt", "docker/data/*.py", "docker/data/*.sed", "docker/archive/*"),
    DATABASE: ("docker/archive/*",),
}
SHOWN = {TOOLS: "the tools for backups", DATABASE: "the database with continuous archiving"}


def base(services: Services) -> str:
    """Return the image of the project's database."""
    import yaml

    own = ROOT / f"compose/postgres-{services.postgres}.yml"
    file = own if own.exists() else ROOT / BASE
    return str(yaml.safe_load(file.read_text("utf-8"))["services"]["db"]["image"])


def major(services: Services) -> int:
    """Return the major version in the tag of the database's image; 0 for none."""
    found = re.search(r":(\d+)", base(services))
    return int(found[1]) if found else 0


def tag(services: Services, stage: str = TOOLS) -> str:
    """Return the tag of a stage of this work tree."""
    digest = hashlib.sha256(f"{stage} {base(services)}\0".encode())
    patterns = (FILE, *SOURCES[stage])
    for file in sorted(each for pattern in patterns for each in ROOT.glob(pattern)):
        digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    return tags.data(digest.hexdigest()[:12])


def push(
    ctx: Context, registry: Registry, services: Services, stage: str = TOOLS, anew: bool = False
) -> None:
    """Build and push a stage, unless the registry has it.

    Args:
        anew: build it again, on the newest image of the database.
    """
    there = registry.find(tag(services, stage))
    if there and not anew:
        return
    if there:
        # Releases that are remembered need it.
        registry.put(tags.data(there.digest.removeprefix("sha256:")[:12]), there)
    console.step(f"building {SHOWN[stage]}")
    names = [str(registry.image.tagged(tag(services, stage)))]
    args = {"DATABASE": base(services)}
    wanted = Build(ROOT, stage, names, file=FILE, args=args, push=True, pull=anew)
    with login.logged_in(ctx, registry.login) as env:
        build(ctx, wanted, env)


def image(registry: Registry, services: Services, stage: str = TOOLS) -> str:
    """Return a stage's image by its digest. Raises TaskError if the registry lacks it."""
    if digest := registry.digest(tag(services, stage)):
        return str(registry.image.at(digest))
    raise TaskError(f"the registry lacks {SHOWN[stage]}", "inv build --push", ExitCode.REFUSED)
