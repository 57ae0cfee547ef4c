"""Show images of the registry with their tags, and find those to prune."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from .. import console
from ..project.git import slug
from ..registry.reference import short
from ..reports import Report
from . import tags


@dataclass(frozen=True)
class Stored:
    """An image in the registry.

    Args:
        branch: the branch that it was built for.
        created: when its commit was made; empty if unknown.
        size: bytes of its layers, as stored.
        version: the git tag that it was built for, or its revision.
    """

    digest: str
    tags: tuple[str, ...]
    revision: str
    branch: str
    created: str
    size: int
    version: str = ""

    @property
    def tested(self) -> bool:
        """Whether it is marked as tested."""
        return tags.tested(self) in self.tags

    def environments(self, names: Collection[str]) -> list[str]:
        """Return the tags of environments that have it, now or before; those of deploys last."""
        found = [tag for tag in self.tags if tags.is_environment(tag, names)]
        return sorted(found, key=lambda tag: (tags.deployed_to(tag), len(tag), tag))

    def others(self, environments: Collection[str]) -> list[str]:
        """Return the tags that are not an environment's, a commit's or the mark."""
        known = {*self.environments(environments), tags.tested(self)}
        return [tag for tag in self.tags if tag not in known and not tags.is_commit(tag)]


def prunable(images: Sequence[Stored], keep: int, environments: Collection[str]) -> list[Stored]:
    """Return the images to prune: all but the newest, and but those with a tag of another kind.

    Tags of commits, marks and the image's own branch keep no image. Any other tag does: one of an
    environment, a git tag, one set by hand.
    """
    return [
        image
        for image in images[keep:]
        if not image.environments(environments)
        and set(image.others(environments)) <= {slug(image.branch)}
    ]


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image as a report has it; see Stored.

    Args:
        environments: as `inv images` shows them: prod, and prod#17 for a deploy of it.
        tags: all others but the commit's.
    """

    digest: str
    revision: str
    branch: str
    version: str
    created: str
    size: int
    tested: bool
    environments: list[str]
    tags: list[str]


class Images(Report, frozen=True, kw_only=True, tag="images"):
    """The images of the registry, the newest first; `hidden` tags are left out."""

    images: list[Image]
    hidden: int

    def text(self) -> str:
        """Return a table of the images, one line each."""
        rows = [
            (
                short(image.digest),
                image.revision[:12] + ("-dirty" if image.revision.endswith("-dirty") else ""),
                age(image.created),
                f"{image.size / 10**6:.1f} MB",
                "yes" if image.tested else "no",
                " ".join(image.environments),
                " ".join(image.tags),
            )
            for image in self.images
        ]
        heads = ("DIGEST", "COMMIT", "AGE", "SIZE", "TESTED", "ENVIRONMENT", "TAGS")
        return console.table(rows, heads)


def report(images: Sequence[Stored], environments: Collection[str], hidden: int = 0) -> Images:
    """Return a report of images."""
    return Images(
        hidden=hidden,
        images=[
            Image(
                digest=image.digest,
                revision=image.revision,
                branch=image.branch,
                version=image.version,
                created=image.created,
                size=image.size,
                tested=image.tested,
                environments=[*map(tags.shown, image.environments(environments))],
                tags=image.others(environments),
            )
            for image in images
        ],
    )


def age(created: str, now: datetime | None = None) -> str:
    """Return the time since a moment, in one unit; empty if the moment is unknown."""
    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return ""
    passed = (now or datetime.now(UTC)) - then.replace(tzinfo=then.tzinfo or UTC)
    seconds = max(0, int(passed.total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
