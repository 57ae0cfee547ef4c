"""Making the image of a commit: what it is called, built from, and cached by."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .. import console
from ..docker.build import Build, build
from ..errors import ExitCode, TaskError, explain
from ..project.git import slug
from ..project.settings import ROOT
from ..registry.reference import BRANCH_LABEL, COMMIT, Reference, as_tag, is_built_on
from . import login

if TYPE_CHECKING:
    from invoke import Context

    from ..project.git import Source
    from ..project.settings import Settings
    from ..registry.client import Manifest, Registry

# The Dockerfile's stage that is released.
RELEASED = "runtime"
# Tags that say something about an image, and that no branch may take: NAME-REST.
OURS = ("tested", "forced", "cache")


@dataclass(frozen=True)
class Options:
    """How `build` was asked to build."""

    push: bool = False
    platforms: Sequence[str] = ()
    cache: bool = True
    pull: bool = False
    dirty: bool = False


def reserved(tag: str, environments: Collection[str]) -> bool:
    """Whether a tag has a meaning of its own: an environment's, a mark, a commit's."""
    marks = tag.startswith(tuple(f"{mark}-" for mark in OURS))
    return marks or bool(COMMIT.fullmatch(tag)) or tag.removesuffix("-previous") in environments


def tags(source: Source, environments: Collection[str]) -> list[str]:
    """What the image is called: its revision, and unless it is dirty its branch and git tag.

    A branch or a git tag that is called like an environment gives no tag: that would release it.
    """
    if source.dirty:
        return [source.revision]
    called = [tag for tag in (source.slug, as_tag(source.tag)) if tag]
    return [source.revision, *(tag for tag in called if not reserved(tag, environments))]


def left_out(source: Source, environments: Collection[str]) -> list[str]:
    """The names that the image would bear, were they not reserved."""
    called = [tag for tag in (source.slug, as_tag(source.tag)) if tag]
    return [tag for tag in called if reserved(tag, environments)]


def arguments(source: Source, url: str) -> dict[str, str]:
    """What the Dockerfile is told about the image that it makes."""
    return {
        "REVISION": source.revision,
        "VERSION": source.tag or source.revision,
        "CREATED": source.date,
        "SOURCE": url,
    }


def caches(source: Source, stages: Sequence[str]) -> list[str]:
    """The tags whose layers can be taken over: of the kept stages, this branch and this commit."""
    return [tag for tag in (*map(kept, stages), source.slug, source.revision) if tag]


def kept(stage: str) -> str:
    """The tag of a stage that is kept."""
    return f"cache-{stage}"


def dotenv(image: Reference, source: Source) -> str:
    """The image as variables for later jobs, as GitLab's dotenv reports have them."""
    lines = {"IMAGE": str(image), "IMAGE_DIGEST": image.digest, "IMAGE_COMMIT": source.revision}
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def check_source(source: Source, options: Options, files: Sequence[str] = ()) -> None:
    """Say what is special about the source. Raises TaskError for what cannot be done.

    A dirty source is not pushed unasked, and without a push there is no digest to write to files.
    """
    if any(files) and not options.push:
        raise TaskError(
            "an image has no digest before it is pushed", "add --push", ExitCode.REFUSED
        )
    if not source.dirty:
        return
    if options.push and not options.dirty:
        hint = "commit first, or add --allow-dirty (its tag ends in -dirty)"
        raise TaskError("the files differ from the commit: not pushed", hint, ExitCode.REFUSED)
    console.warn(f"the files differ from the commit: the image is tagged {source.revision}")


def local(ctx: Context, settings: Settings, source: Source, options: Options) -> Reference:
    """Build into the engine only. Returns the image by its first tag."""
    image = Reference.parse(settings.registry.image)
    names = tags(source, settings.environments)
    build(ctx, _wanted(settings, source, options, names), {})
    return image.tagged(names[0])


def publish(
    ctx: Context, settings: Settings, source: Source, options: Options, registry: Registry
) -> Reference:
    """Build and push the image unless the registry has it, then give it its moving tags.

    Returns the image by its digest. The moving tags are the last to be set: whatever is
    interrupted before leaves them where they were.
    """
    first, *moving = tags(source, settings.environments)
    for name in left_out(source, settings.environments):
        console.warn(f"no tag {name}: that name is reserved")
    made = None if _again(source, options) else registry.find(first)
    if made:
        console.say(f"{first} is in the registry already (--no-cache builds it anew)")
    else:
        made = _push(ctx, settings, source, options, registry, first)
    for tag in moving:
        registry.put(tag, made)
    if not source.dirty:
        try:
            if _stale(settings, source, registry, made):
                _keep(ctx, settings, source, options, registry)
        except Exception as error:
            hint = "correct registry.cache in invoke.yaml, or build again"
            console.warn(f"fresh runners will build more than they must: {explain(error)} - {hint}")
    return registry.image.at(made.digest)


def _again(source: Source, options: Options) -> bool:
    """Whether to build even what is there: dirty files are never the same, and bases move."""
    return source.dirty or options.pull or not options.cache


def _push(
    ctx: Context, settings: Settings, source: Source, options: Options, registry: Registry, tag: str
) -> Manifest:
    from ..registry.client import Manifest

    wanted = _wanted(settings, source, options, [tag], _known(settings, source, registry))
    with login.logged_in(ctx, registry.login) as env:
        build(ctx, wanted, env)
    if ctx.config.run.dry:
        return registry.find(tag) or Manifest(b"{}", "")
    return registry.manifest(tag)


def _known(settings: Settings, source: Source, registry: Registry) -> list[str]:
    """The images of the registry whose layers can be taken over."""
    existing = set(registry.tags())
    wanted = caches(source, settings.registry.cache)
    return [str(registry.image.tagged(tag)) for tag in wanted if tag in existing]


def _stale(settings: Settings, source: Source, registry: Registry, made: Manifest) -> bool:
    """Whether to keep stages: they are not there, or the default branch's image has others."""
    stages, main = settings.registry.cache, slug(settings.registry.main)
    if not all(registry.digest(kept(stage)) for stage in stages):
        return True
    # A dry run has made nothing.
    if not (stages and made.kind and main and source.slug == main):
        return False
    below, whole = (
        [each["rootfs"]["diff_ids"] for each in registry.platforms(manifest)]
        for manifest in (registry.manifest(kept(stages[-1])), made)
    )
    return not all(any(is_built_on(layers, part) for part in below) for layers in whole)


def _keep(
    ctx: Context, settings: Settings, source: Source, options: Options, registry: Registry
) -> None:
    """Push the stages that the settings want kept.

    An engine leaves out of an image's own cache what it took over from a registry, and every second
    fresh one would make all of it anew (moby/buildkit#1981). So first it gets what it does not have
    yet, then it tells of that without looking elsewhere.
    """
    known = _known(settings, source, registry)
    plain = replace(_wanted(settings, source, options, []), args={}, labels={}, cache=True)
    with login.logged_in(ctx, registry.login) as env:
        for stage in settings.registry.cache:
            name = str(registry.image.tagged(kept(stage)))
            build(ctx, replace(plain, target=stage, caches=known), env)
            build(ctx, replace(plain, target=stage, tags=[name]), env)


def _wanted(
    settings: Settings,
    source: Source,
    options: Options,
    names: Sequence[str],
    known: Sequence[str] = (),
) -> Build:
    image = Reference.parse(settings.registry.image)
    return Build(
        folder=ROOT,
        target=RELEASED,
        tags=[str(image.tagged(name)) for name in names],
        args=arguments(source, settings.project.source),
        labels={BRANCH_LABEL: source.slug} if source.slug else {},
        caches=known,
        platforms=options.platforms,
        push=options.push,
        cache=options.cache,
        pull=options.pull,
    )
