"""Read which images the registry has: all of them, or those that matter now."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TypeVar

from .. import console
from ..project.git import slug
from ..project.settings import Settings
from ..registry.client import Manifest, Registry, labels
from ..registry.reference import BRANCH_LABEL, CREATED_LABEL, REVISION_LABEL, VERSION_LABEL
from ..registry.session import Unreadable
from . import tags
from .listing import Stored

# A registry with no more tags is shown as a whole; of a larger one, only so many commits, and so
# many deploys of each environment.
FEW, NEWEST = 200, 20
T = TypeVar("T")
# Gives all commits that git knows, newest first, with the branches and tags that point at each.
Commits = Callable[[], Mapping[str, Sequence[str]]]


def read(registry: Registry) -> list[Stored]:
    """Return every image, newest first."""
    return _images(registry, filter(tags.is_image, registry.tags()))


def select(
    registry: Registry, settings: Settings, commits: Commits, whole: bool = False
) -> tuple[list[Stored], int]:
    """Return the images to show, newest first, and the number of tags left out.

    They are those of environments, of their newest deploys, of the default branch and of the newest
    commits; if the registry has few tags, or on request, all.
    """
    known = dict.fromkeys(filter(tags.is_image, registry.tags()))
    if whole or len(known) <= FEW:
        return _images(registry, known), 0
    history, main = commits(), slug(settings.registry.main)

    def may_have(image: Stored) -> set[str]:
        names = [image.branch, image.version, *history.get(image.revision, ())]
        return {tags.tested(image), image.revision, *map(slug, names), *map(tags.as_tag, names)}

    environments = settings.environments
    fixed = {main, *environments, *map(tags.previous, environments)} & known.keys()
    newest = islice((commit for commit in history if commit in known), NEWEST)
    wanted = [*fixed, *_newest_deploys(known), *newest]
    images = _images(registry, wanted, lambda image: may_have(image) & known.keys())
    return images, len(known) - sum(len(image.tags) for image in images)


def _newest_deploys(names: Iterable[str]) -> list[str]:
    """Return the tags of the newest deploys of each environment."""
    groups: dict[str, list[str]] = {}
    for tag in sorted(filter(tags.deployed_to, names), key=lambda tag: (len(tag), tag)):
        groups.setdefault(tags.deployed_to(tag), []).append(tag)
    return [tag for group in groups.values() for tag in group[-NEWEST:]]


def in_use(registry: Registry, environments: Collection[str]) -> set[str]:
    """Return the digests that environments have, had before, or may go back to."""
    names = [tag for tag in registry.tags() if tags.is_environment(tag, environments)]
    with ThreadPoolExecutor(8) as pool:
        return set(_each(pool, partial(_digest, registry), names).values())


def _images(
    registry: Registry,
    names: Iterable[str],
    may_have: Callable[[Stored], Collection[str]] = lambda _: (),
) -> list[Stored]:
    """Return the images of some tags, newest first; `may_have`: other tags to look for, by image.

    Reads several at a time. A tag that is no image, or cannot be read, is named and left out.
    """
    names = list(names)
    with ThreadPoolExecutor(8) as pool:
        digests = _each(pool, partial(_digest, registry), names)
        images = _each(pool, partial(_stored, registry), set(digests.values()))
        others = {tag for image in images.values() for tag in may_have(image)} - digests.keys()
        digests |= _each(pool, partial(_digest, registry), others)
    _report([tag for tag in names if digests.get(tag) not in images])
    groups: dict[str, list[str]] = {}
    for tag, digest in sorted(digests.items()):
        groups.setdefault(digest, []).append(tag)
    found = (replace(image, tags=tuple(groups[image.digest])) for image in images.values())
    return sorted(found, key=lambda image: image.created, reverse=True)


def _each(pool: ThreadPoolExecutor, read: Callable[[str], T], names: Iterable[str]) -> dict[str, T]:
    """Read names, and return what was found of each; without what is no image or unreadable."""

    def attempt(name: str) -> list[tuple[str, T]]:
        try:
            return [(name, read(name))]
        except Unreadable:
            return []

    return dict(pair for pairs in pool.map(attempt, names) for pair in pairs)


def _report(names: Sequence[str]) -> None:
    """Name tags that are no images; those with a reserved name are our own notes."""
    left = sorted(name for name in names if not name.startswith(tags.RESERVED))
    if left:
        rest = f" and {len(left) - 5} more" if len(left) > 5 else ""
        console.warn(f"no image, or damaged in the registry: {', '.join(left[:5])}{rest}")


def _digest(registry: Registry, tag: str) -> str:
    if digest := registry.digest(tag):
        return digest
    raise Unreadable(f"{tag} is gone")


def _stored(registry: Registry, digest: str) -> Stored:
    manifest = registry.manifest(digest)
    config = registry.config(manifest)
    known = labels(config)
    created = known.get(CREATED_LABEL) or config.get("created") or ""
    return Stored(
        digest, (), known.get(REVISION_LABEL, ""), known.get(BRANCH_LABEL, ""), created,
        _size(registry, manifest), known.get(VERSION_LABEL, ""),
    )  # fmt: skip


def _size(registry: Registry, manifest: Manifest) -> int:
    if manifest.children:
        return sum(_size(registry, registry.manifest(child)) for child in manifest.children)
    return sum(layer["size"] for layer in manifest.content["layers"])
