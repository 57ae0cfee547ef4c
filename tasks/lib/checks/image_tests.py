"""Test an image in the registry on its very layers, and mark it as tested if it passes."""

import uuid
from typing import Any

from invoke import Context

from .. import console
from ..app.base import Testing
from ..app.compose import ComposeBackend
from ..docker import client
from ..docker.build import Build, build
from ..errors import ExitCode, TaskError
from ..images import login, promotion, refs
from ..project import git
from ..project.settings import ROOT, Settings
from ..registry.client import connect
from ..registry.reference import is_built_on
from . import suite


def run(ctx: Context, settings: Settings, ref: str, testing: Testing) -> None:
    """Run the app's whole suite on an image, and mark its digest as tested in the registry.

    What runs is that image with the tests and their dependencies as additional layers, which is
    verified. Raises TaskError if its layers differ, or if tests fail.
    """
    if not testing.whole:
        hint = "leave out --path and --pattern"
        raise TaskError("only the whole suite can mark an image as tested", hint, ExitCode.REFUSED)
    suite.require_inside(settings)
    registry = connect(ctx, settings)
    image = refs.resolve(registry, ref.rpartition("@")[2], settings.environments)
    digest = image.digest
    console.step(f"the app's tests on {registry.image.at(digest)}")
    _same_source(image.revision)
    name = f"{settings.project.name}-under-test-{uuid.uuid4().hex[:12]}"
    args = settings.app.variables() | {"TESTED": str(registry.image.at(digest))}
    wanted = Build(ROOT, "test", [name], args=args)

    def make() -> None:
        with login.logged_in(ctx, registry.login) as env:
            build(ctx, wanted, env)
        if not ctx.config.run.dry:
            _same_layers(client.layers(ctx, name), registry.platforms(image.manifest), digest)

    try:
        backend = ComposeBackend(ctx, settings, name, make)
        failures = suite.app(backend, settings.app.code(ROOT), testing, settings)
        suite.conclude(failures, settings, counted=True)
    finally:
        client.remove(ctx, name)
    console.say(f"marked as tested: {promotion.mark_tested(registry, digest)}")


def _same_layers(layers: list[str], platforms: list[dict[str, Any]], digest: str) -> None:
    """Warn of platforms that were not tested. Raises TaskError if no platform was."""
    others = [item for item in platforms if not is_built_on(layers, item["rootfs"]["diff_ids"])]
    if len(others) == len(platforms):
        hint = "correct the Dockerfile's stage test"
        raise TaskError(f"the image under test is not built on {digest}", hint)
    if others:
        names = [f"{item.get('os')}/{item.get('architecture')}" for item in others]
        console.warn(f"marked as tested without running on: {', '.join(names)}")


def _same_source(revision: str) -> None:
    """Warn if the tests here are not those of the image's commit."""
    source = git.read(ROOT)
    if revision != source.commit:
        image = revision[:12] or "an unknown commit"
        what = f"the tests are from {source.commit[:12]}, the image is from {image}"
        console.warn(f"{what} - check out the image's commit")
    elif source.dirty:
        console.warn("uncommitted changes: the tests may differ from the commit's")
