"""From a commit to an environment: build, push and release one image, by one digest."""

from __future__ import annotations

from functools import partial

from invoke import Context, task

from .lib import console
from .lib.options import JSON
from .lib.project import git


@task
def login(ctx: Context) -> None:
    """Verify the registry login and show where it comes from.

    Tasks that need the registry log in by themselves.

    Example: inv login
    """
    from .lib.images import login
    from .lib.project.settings import read_settings
    from .lib.registry.client import connect

    registry = connect(ctx, read_settings(ctx))
    registry.check()
    with login.logged_in(ctx, registry.login):
        console.say(f"{registry.image.host}: logged in {registry.login or 'anonymously'}")


@task(
    help={
        "push": "push the image to the registry and print its digest",
        "platform": "build for these platforms: linux/amd64,linux/arm64 (default: this machine's)",
        "no-cache": "rebuild every layer, even if the registry has this commit's image",
        "pull": "pull the base images and rebuild, even if the registry has this commit's image",
        "digest-file": "write the digest to this file (with --push)",
        "dotenv": "write IMAGE, IMAGE_DIGEST and IMAGE_COMMIT to this file (with --push)",
        "sbom": "write a CycloneDX list of Python and Debian packages to this file (with --push)",
        "allow-dirty": "push uncommitted changes; the image's tag ends in -dirty",
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
    """Build the image of this commit; --push also pushes it.

    Example: inv build --push --digest-file reports/digest
    """
    from .lib.images.builder import Builder, Options
    from .lib.project.settings import ROOT, read_settings

    settings = read_settings(ctx)
    platforms = platform.replace(",", " ").split()
    options = Options(push, platforms, not no_cache, pull, allow_dirty, digest_file, dotenv, sbom)
    console.result(Builder(ctx, settings, git.read(ROOT), options).run())


@task(
    help={
        "env": "the environment, as named in invoke.yaml",
        "ref": "commit, tag, branch, digest or environment (default: the checked-out commit)",
        "force": "release an untested image, or a late one, and record this reason",
    }
)
def release(ctx: Context, env: str = "", ref: str = "", force: str = "") -> None:
    """Promote a tested image to an environment.

    Example: inv release --env=staging --ref=main
    """
    from .lib.images import promotion, refs
    from .lib.project.settings import ROOT, read_settings
    from .lib.registry.client import connect

    settings = read_settings(ctx)
    settings.environment(env)
    registry = connect(ctx, settings)
    found = refs.find(registry, ref or git.read(ROOT).commit, settings.environments)
    for line in promotion.make_current(registry, env, found, force):
        console.say(line)
    console.result(registry.image.at(found.digest))


@task(
    name="list",
    default=True,
    help={"all": "list all images, also of a large registry", "json": JSON},
)
def images(ctx: Context, all: bool = False, json: bool = False) -> None:
    """List the images in the registry, newest first.

    Of a registry with many tags: the images of environments and of each one's newest deploys, of
    the default branch and of the newest commits.

    Example: inv images
    """
    from .lib import reports
    from .lib.images import contents, listing
    from .lib.project.settings import ROOT, read_settings
    from .lib.registry.client import connect

    settings = read_settings(ctx)
    registry, commits = connect(ctx, settings), partial(git.commits, ROOT)
    found, hidden = contents.select(registry, settings, commits, all)
    reports.show(listing.report(found, settings.environments, hidden), json)
    if hidden:
        console.say(f"{hidden} tags are not shown: inv images --all")


@task(help={"keep": "keep this many of the newest images", "yes": "do not ask for confirmation"})
def prune(ctx: Context, keep: int = 20, yes: bool = False) -> None:
    """Delete old images that no environment, deploy or git tag uses.

    Example: inv images.prune --keep 20
    """
    from .lib.images import contents, listing
    from .lib.project.settings import read_settings
    from .lib.registry.client import connect

    settings = read_settings(ctx)
    registry = connect(ctx, settings)
    old = listing.prunable(contents.read(registry), keep, settings.environments)
    if not old:
        return console.say("nothing to delete")
    console.result(listing.report(old, settings.environments).text())
    console.confirm(f"Delete these {len(old)}?", yes)
    # A release or a deploy may have begun in the meantime.
    used = contents.in_use(registry, settings.environments)
    unused = [image.digest for image in old if image.digest not in used]
    for digest in unused:
        registry.delete(digest)
    console.say(f"deleted {len(unused)}; the registry's garbage collection frees the space")
