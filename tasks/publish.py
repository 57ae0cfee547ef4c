"""From a commit to an environment: build the image, push it, release it; one digest all the way."""

from __future__ import annotations

from invoke import Context, task


@task
def login(ctx: Context) -> None:
    """Check the login to the registry, and tell where it is from.

    The tasks that need one log in by themselves.

    Example: inv login
    """
    from .lib import console
    from .lib.images import login
    from .lib.project.settings import read_settings
    from .lib.registry.client import connect

    registry = connect(ctx, read_settings(ctx))
    registry.check()
    with login.logged_in(ctx, registry.login):
        who = (
            f"as {registry.login.user} (from {registry.login.origin})"
            if registry.login
            else "with no login"
        )
        console.say(f"{registry.image.host} lets you in {who}")


@task(
    help={
        "push": "push it to the registry, where its digest is its identity",
        "platform": "for these platforms, such as linux/amd64,linux/arm64 (default: this one)",
        "no-cache": "build every layer anew, even when the commit's image is there",
        "pull": "take the newest base images, even when the commit's image is there",
        "digest-file": "write the digest to this file (with --push)",
        "dotenv": "write IMAGE, IMAGE_DIGEST and IMAGE_COMMIT to this file (with --push)",
        "sbom": "write its Python and Debian packages to this file, as CycloneDX (with --push)",
        "allow-dirty": "push though the files differ from the commit; the tag says so",
    }
)
def build(
    ctx: Context,
    push: bool = False,
    platform: str = "",
    no_cache: bool = False,
    pull: bool = False,
    digest_file: str = "",
    dotenv: str = "",
    sbom: str = "",
    allow_dirty: bool = False,
) -> None:
    """Build the image of this commit, and push it if asked.

    Example: inv build --push --digest-file reports/digest
    """
    from .lib import console, files
    from .lib.images import builder
    from .lib.images.sbom import bill_of_materials
    from .lib.project import git
    from .lib.project.settings import ROOT, read_settings
    from .lib.registry.client import connect

    settings = read_settings(ctx)
    origin = git.read(ROOT)
    platforms = [each.strip() for each in platform.split(",") if each.strip()]
    options = builder.Options(push, platforms, not no_cache, pull, allow_dirty)
    builder.check_source(origin, options, [digest_file, dotenv, sbom])
    if not push:
        console.result(builder.local(ctx, settings, origin, options))
        return
    registry = connect(ctx, settings)
    image = builder.publish(ctx, settings, origin, options, registry)
    files.write({digest_file: f"{image.digest}\n", dotenv: builder.dotenv(image, origin)})
    if sbom and not ctx.config.run.dry:
        files.write({sbom: bill_of_materials(ctx, image, registry)})
    console.result(image)


@task(
    help={
        "env": "the environment, as invoke.yaml names it",
        "ref": "a commit, tag, branch, digest or environment (default: the commit that is here)",
        "force": "release an untested image, for this reason, which is recorded",
    }
)
def release(ctx: Context, env: str = "", ref: str = "", force: str = "") -> None:
    """Make a tested image the current one of an environment.

    Example: inv release --env=staging --ref=main
    """
    from .lib import console
    from .lib.images import promotion
    from .lib.project import git
    from .lib.project.settings import ROOT, read_settings
    from .lib.registry.client import connect

    settings = read_settings(ctx)
    settings.environment(env)
    registry = connect(ctx, settings)
    found = promotion.find(registry, ref or git.read(ROOT).commit)
    for line in promotion.make_current(registry, env, found, force):
        console.say(line)
    console.result(registry.image.at(found.digest))


@task(name="list")
def images(ctx: Context) -> None:
    """List the images in the registry, the newest first.

    Example: inv images
    """
    from .lib import console
    from .lib.images import listing
    from .lib.project.settings import read_settings
    from .lib.registry.client import connect

    settings = read_settings(ctx)
    found = listing.read(connect(ctx, settings))
    console.result(listing.table(found, settings.environments))


@task(help={"keep": "how many of the newest images stay anyway", "yes": "do not ask"})
def prune(ctx: Context, keep: int = 20, yes: bool = False) -> None:
    """Delete old images that no environment or git tag uses.

    Example: inv images.prune --keep 20
    """
    from .lib import console, errors
    from .lib.images import listing
    from .lib.project.settings import read_settings
    from .lib.registry.client import connect

    settings = read_settings(ctx)
    registry = connect(ctx, settings)
    old = listing.prunable(listing.read(registry), keep, settings.environments)
    if not old:
        console.say("nothing to delete")
        return
    console.result(listing.table(old, settings.environments))
    if not yes and not console.confirm(f"Delete these {len(old)}?"):
        raise errors.TaskError(
            "nothing was deleted", "answer y, or add --yes", errors.ExitCode.REFUSED
        )
    for each in old:
        registry.delete(each.digest)
    console.say(f"deleted {len(old)}; the registry's garbage collection frees the space")
