"""An image of the registry under the app's tests, on its very layers; marked when it passes."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from .. import console
from ..app.compose import ComposeBackend
from ..docker import client
from ..docker.build import Build, build
from ..errors import ExitCode, TaskError
from ..images import login, promotion
from ..project import git
from ..project.settings import ROOT
from ..registry.client import connect
from ..registry.reference import is_built_on
from . import suite

if TYPE_CHECKING:
    from invoke import Context

    from ..app.base import Testing
    from ..project.settings import Settings


def run(ctx: Context, settings: Settings, ref: str, testing: Testing) -> None:
    """Run the app's whole suite on an image, and mark its digest as tested in the registry.

    The image that runs is the released one with test dependencies and tests laid on top, which is
    checked layer by layer. Raises TaskError when it has other layers, or when tests fail.
    """
    if testing.paths or testing.pattern:
        raise TaskError(
            "an image is tested whole", "leave out --path and --pattern", ExitCode.REFUSED
        )
    registry = connect(ctx, settings)
    image = promotion.resolve(registry, ref.rpartition("@")[2])
    digest = image.manifest.digest
    console.step(f"the app's tests on {registry.image.at(digest)}")
    _same_source(image.revision)
    name = f"{settings.project.name}-tested-{uuid.uuid4().hex[:12]}"
    wanted = Build(ROOT, "test", [name], args={"TESTED": str(registry.image.at(digest))})

    def make() -> None:
        with login.logged_in(ctx, registry.login) as env:
            build(ctx, wanted, env)
        if not ctx.config.run.dry:
            _same_layers(client.layers(ctx, name), registry.platforms(image.manifest), digest)

    try:
        package = settings.project.package
        failures = suite.app(
            ComposeBackend(ctx, settings, name, make), [package], testing, settings
        )
        suite.conclude(failures, package, counted=True)
    finally:
        client.remove(ctx, name)
    console.say(f"marked as tested: {promotion.mark_tested(registry, digest)}")


def _same_layers(layers: list[str], platforms: list[dict[str, Any]], digest: str) -> None:
    """Warn of platforms that are not what runs here. Raises TaskError when none of them is."""
    others = [each for each in platforms if not is_built_on(layers, each["rootfs"]["diff_ids"])]
    if len(others) == len(platforms):
        raise TaskError(f"the tested image is not built on {digest}", "mend the Dockerfile's test")
    if others:
        names = [f"{each.get('os')}/{each.get('architecture')}" for each in others]
        console.warn(f"marked without a run on them: {', '.join(names)}")


def _same_source(revision: str) -> None:
    """Warn when the tests here are not those of the image's commit."""
    here = git.read(ROOT)
    if revision != here.commit:
        console.warn(f"the tests are of {here.commit[:12]}, the image is of {revision[:12]}")
    elif here.dirty:
        console.warn("the tests differ from those of the commit")
