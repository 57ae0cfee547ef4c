"""What the registry has: every image with its tags, and which of them can go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .. import console
from ..registry.reference import BRANCH_LABEL, COMMIT, REVISION_LABEL, short
from .builder import OURS

if TYPE_CHECKING:
    from ..registry.client import Manifest, Registry

NOTES = tuple(f"{mark}-" for mark in OURS if mark != "tested")


@dataclass(frozen=True)
class Stored:
    """An image in the registry.

    Args:
        tags: all that point at it.
        branch: the tag of the branch that it was built for.
        created: when its commit was made; empty when it does not say.
        size: bytes of its layers, as stored.
    """

    digest: str
    tags: tuple[str, ...]
    revision: str
    branch: str
    created: str
    size: int

    @property
    def tested(self) -> bool:
        """Whether it bears the mark of having passed the tests."""
        return f"tested-{self.revision}" in self.tags

    def environments(self, names: Collection[str]) -> list[str]:
        """The environments that use it, and those that used it last (NAME-previous)."""
        return [tag for tag in self.tags if tag.removesuffix("-previous") in names]


def read(registry: Registry) -> list[Stored]:
    """Every image, the newest first; asks for several at a time."""
    tags = [tag for tag in registry.tags() if not tag.startswith(NOTES)]
    with ThreadPoolExecutor(8) as pool:
        digests = dict(zip(tags, pool.map(registry.digest, tags), strict=True))
        groups: dict[str, list[str]] = {}
        for tag, digest in digests.items():
            if digest:
                groups.setdefault(digest, []).append(tag)
        found = pool.map(lambda digest: _stored(registry, digest, groups[digest]), groups)
        return sorted(found, key=lambda each: each.created, reverse=True)


def _stored(registry: Registry, digest: str, tags: list[str]) -> Stored:
    manifest = registry.manifest(digest)
    config = registry.config(manifest)
    labels = config.get("config", {}).get("Labels") or {}
    return Stored(
        digest,
        tuple(sorted(tags)),
        labels.get(REVISION_LABEL, ""),
        labels.get(BRANCH_LABEL, ""),
        labels.get("org.opencontainers.image.created") or config.get("created", ""),
        _size(registry, manifest),
    )


def _size(registry: Registry, manifest: Manifest) -> int:
    if manifest.children:
        return sum(_size(registry, registry.manifest(child)) for child in manifest.children)
    return sum(layer["size"] for layer in manifest.content["layers"])


def prunable(images: Sequence[Stored], keep: int, environments: Collection[str]) -> list[Stored]:
    """The images that can go: all but the newest, and but those with a tag of another kind.

    Only commits, branches and tested marks are given up. Any other tag keeps its image: one of an
    environment, a git tag, one that somebody set by hand.
    """
    return [each for each in images[keep:] if not _kept(each, environments)]


def _kept(image: Stored, environments: Collection[str]) -> bool:
    own = {image.branch, f"tested-{image.revision}"}
    others = [tag for tag in image.tags if tag not in own and not COMMIT.fullmatch(tag)]
    return bool(others or image.environments(environments))


def table(images: Sequence[Stored], environments: Collection[str]) -> str:
    """The images, a line each."""
    heads = ("DIGEST", "COMMIT", "AGE", "SIZE", "TESTED", "ENVIRONMENT", "TAGS")
    rows = [
        (
            short(each.digest),
            each.revision[:12] + ("-dirty" if each.revision.endswith("-dirty") else ""),
            age(each.created),
            f"{each.size / 10**6:.1f} MB",
            "yes" if each.tested else "no",
            " ".join(each.environments(environments)),
            " ".join(_others(each, environments)),
        )
        for each in images
    ]
    return console.table(rows, heads)


def _others(image: Stored, environments: Collection[str]) -> list[str]:
    said = {*image.environments(environments), f"tested-{image.revision}"}
    return [tag for tag in image.tags if tag not in said and not COMMIT.fullmatch(tag)]


def age(created: str, now: datetime | None = None) -> str:
    """How long ago a moment was, as people say it; empty when it is not known."""
    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return ""
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    seconds = max(0, int(((now or datetime.now(UTC)) - then).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
