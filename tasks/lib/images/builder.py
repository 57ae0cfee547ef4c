"""Build the image of a commit: into the local engine, or into the registry with tags and cache."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from invoke import Context

from .. import console, files
from ..docker.build import Build, build
from ..errors import ExitCode, TaskError, explain
from ..project.git import Source, slug
from ..project.settings import ROOT, Settings
from ..registry.client import Manifest, Registry, connect
from ..registry.reference import BRANCH_LABEL, Reference, is_built_on
from ..registry.session import Unreadable
from . import data, login, sbom, tags

# What to do about an image that does not get a tag.
BY_COMMIT = "to deploy this image, add --ref=COMMIT"


@dataclass(frozen=True)
class Options:
    """The options of `inv build`; files that are empty are not written."""

    push: bool = False
    platforms: Sequence[str] = ()
    cache: bool = True
    pull: bool = False
    allow_dirty: bool = False
    digest_file: str = ""
    dotenv: str = ""
    sbom: str = ""


def check_source(source: Source, options: Options) -> None:
    """Warn of uncommitted changes. Raises TaskError for options that contradict each other.

    Uncommitted changes are pushed only on request, and only a pushed image has a digest.
    """
    if not options.push and (options.digest_file or options.dotenv or options.sbom):
        raise TaskError("an image has no digest until it is pushed", "add --push", ExitCode.REFUSED)
    if not source.dirty:
        return
    if options.push and not options.allow_dirty:
        hint = "commit first, or add --allow-dirty (its tag ends in -dirty)"
        raise TaskError("uncommitted changes: not pushing", hint, ExitCode.REFUSED)
    console.warn(f"uncommitted changes: the image is tagged {source.revision}")


class Builder:
    """Builds the image of a source, as the options ask."""

    def __init__(self, ctx: Context, settings: Settings, source: Source, options: Options) -> None:
        self.ctx, self.settings, self.source, self.options = ctx, settings, source, options
        self.image = Reference.parse(settings.registry.image)
        self.tags, self.reserved = tags.for_source(source, settings.environments)

    @cached_property
    def registry(self) -> Registry:
        """The registry to push to; a local build needs no login and looks for none."""
        return connect(self.ctx, self.settings)

    def run(self) -> Reference:
        """Build the image, push it and write its files if asked. Returns the image."""
        check_source(self.source, self.options)
        if not self.options.push:
            build(self.ctx, self._wanted(self.tags), {})
            return self.image.tagged(self.tags[0])
        image = self._publish()
        self._write_files(image)
        return image

    def _publish(self) -> Reference:
        """Build and push the image unless the registry has it, then set its moving tags.

        Returns the image by its digest. Moving tags come last: an interrupted run moves none.
        """
        first, *moving = self.tags
        for name in self.reserved:
            console.warn(f"no tag {name}: that name is reserved - {BY_COMMIT}")
        manifest = self._pushed(first)
        for tag in moving:
            self._move(tag, manifest)
        wanted = {data.TOOLS: self.settings.backup.every, data.DATABASE: self.settings.backup.pitr}
        for stage in filter(wanted.get, wanted):
            services, anew = self.settings.services, self.options.pull
            data.push(self.ctx, self.registry, services, stage, anew)
        if not self.source.dirty:
            self._update_cache(manifest)
        return self.image.at(manifest.digest)

    def _move(self, tag: str, manifest: Manifest) -> None:
        """Point a tag at the image, unless it is another branch's or git tag's.

        One whose very name is the tag takes it anyway.
        """
        names = {self.source.branch, self.source.tag}
        owner = "" if tag in names else self._owner(tag)
        if owner and owner not in names:
            return console.warn(f"no tag {tag}: it belongs to {owner} - {BY_COMMIT}")
        self.registry.put(tag, manifest)

    def _owner(self, tag: str) -> str:
        """Return the branch or git tag that a tag in the registry belongs to; empty if unknown."""
        try:
            found = self.registry.find(tag)
            return tags.owner(self.registry.labels(found), tag) if found else ""
        except Unreadable:
            return ""

    def _pushed(self, tag: str) -> Manifest:
        """Return the registry's image of this commit; build and push it if missing or asked to."""
        anew = self.source.dirty or self.options.pull or not self.options.cache
        if not anew and (manifest := self.registry.find(tag)):
            console.say(f"{tag} already exists in the registry (--no-cache rebuilds it)")
            return manifest
        wanted = self._wanted([tag], self._caches())
        with login.logged_in(self.ctx, self.registry.login) as env:
            build(self.ctx, wanted, env)
        if self.ctx.config.run.dry:
            return self.registry.find(tag) or Manifest(b"{}", "")
        return self.registry.manifest(tag)

    def _caches(self) -> list[str]:
        """Return the images in the registry to import layers from."""
        stages = map(tags.cache, self.settings.registry.cache)
        wanted = filter(None, [*stages, self.source.slug, self.source.revision])
        return [str(self.image.tagged(tag)) for tag in wanted if self.registry.digest(tag)]

    def _update_cache(self, manifest: Manifest) -> None:
        """Push the kept stages if they are outdated. A failure is only a warning."""
        try:
            if self._is_outdated(manifest):
                self._push_stages()
        except Exception as error:
            why = f"{explain(error)} - correct registry.cache in invoke.yaml, or build again"
            console.warn(f"build cache not updated, cold builds take longer: {why}")

    def _is_outdated(self, manifest: Manifest) -> bool:
        """Whether a kept stage is missing, or the default branch's image has other layers."""
        stages, main = self.settings.registry.cache, slug(self.settings.registry.main)
        if not all(self.registry.digest(tags.cache(stage)) for stage in stages):
            return True
        # A dry run has no manifest to compare.
        if not (stages and manifest.kind and main and self.source.slug == main):
            return False
        kept, images = (
            [config["rootfs"]["diff_ids"] for config in self.registry.platforms(image)]
            for image in (self.registry.manifest(tags.cache(stages[-1])), manifest)
        )
        return not all(any(is_built_on(layers, below) for below in kept) for layers in images)

    def _push_stages(self) -> None:
        """Push the stages that the settings keep.

        BuildKit's inline cache omits layers imported from a registry (moby/buildkit#1981), so every
        other cold builder would rebuild everything. Build once importing the cache, then once more
        without importing, to export all layers.
        """
        caches = self._caches()
        args = self.settings.app.variables()
        plain = replace(self._wanted([]), args=args, labels={}, cache=True)
        with login.logged_in(self.ctx, self.registry.login) as env:
            for stage in self.settings.registry.cache:
                name = str(self.image.tagged(tags.cache(stage)))
                build(self.ctx, replace(plain, target=stage, caches=caches), env)
                build(self.ctx, replace(plain, target=stage, tags=[name]), env)

    def _wanted(self, names: Sequence[str], caches: Sequence[str] = ()) -> Build:
        """Return what to build: the released stage under some tags, with layers of caches."""
        source, options = self.source, self.options
        args = {"REVISION": source.revision, "VERSION": source.tag or source.revision}
        args |= {"CREATED": source.date, "SOURCE": self.settings.project.source}
        args |= self.settings.app.variables()
        images = [str(self.image.tagged(name)) for name in names]
        labels = {BRANCH_LABEL: source.branch} if source.branch else {}
        return Build(
            ROOT, "runtime", images, args=args, labels=labels, caches=caches,
            platforms=options.platforms, push=options.push, cache=options.cache, pull=options.pull,
        )  # fmt: skip

    def _write_files(self, image: Reference) -> None:
        """Write the files that later jobs read; the dotenv one as GitLab's dotenv reports."""
        options, commit = self.options, self.source.revision
        dotenv = f"IMAGE={image}\nIMAGE_DIGEST={image.digest}\nIMAGE_COMMIT={commit}\n"
        files.write({options.digest_file: f"{image.digest}\n", options.dotenv: dotenv})
        if options.sbom and not self.ctx.config.run.dry:
            files.write({options.sbom: sbom.bill_of_materials(self.ctx, image, self.registry)})
