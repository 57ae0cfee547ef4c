"""Show images of the registry with their tags, and find those to prune."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .. import console
from ..project.git import slug
from ..registry.reference import short
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


def table(images: Sequence[Stored], environments: Collection[str]) -> str:
    """Return a table of the images, one line each."""
    rows = [
        (
            short(image.digest),
            image.revision[:12] + ("-dirty" if image.revision.endswith("-dirty") else ""),
            age(image.created),
            f"{image.size / 10**6:.1f} MB",
            "yes" if image.tested else "no",
            " ".join(map(tags.shown, image.environments(environments))),
            " ".join(image.others(environments)),
        )
        for image in images
    ]
    return console.table(rows, ("DIGEST", "COMMIT", "AGE", "SIZE", "TESTED", "ENVIRONMENT", "TAGS"))


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
