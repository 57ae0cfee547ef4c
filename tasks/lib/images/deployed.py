"""Tags of the deploys that an environment remembers: no prune deletes their images."""

import uuid
from collections.abc import Sequence

from .. import console
from ..errors import TaskError
from ..registry.client import Registry
from . import promotion, tags


def remember(registry: Registry, environment: str, number: int, digest: str) -> None:
    """Tag the image of a deploy. A failure is only a warning: a registry may be read-only."""
    tag = tags.deployed(environment, number)
    try:
        if registry.digest(tag) != digest:
            registry.put(tag, registry.manifest(digest))
    except TaskError as error:
        console.warn(f"no tag {tag}, so images.prune may delete this image: {error}")


def forget(registry: Registry, environment: str, numbers: Sequence[int]) -> None:
    """Remove the tags of some deploys; their images, and other tags of these, stay."""
    names = [tags.deployed(environment, number) for number in numbers]
    _remove(registry, [tag for tag in names if registry.digest(tag)])


def forget_all(registry: Registry, environment: str) -> None:
    """Remove the tags of all deploys of an environment."""
    _remove(registry, [tag for tag in registry.tags() if tags.deployed_to(tag) == environment])


def _remove(registry: Registry, names: Sequence[str]) -> None:
    """Remove tags. Registries delete a manifest with all its tags, and not all can delete a tag.

    So the tags first move to a manifest of their own.
    """
    if not names:
        return
    note = promotion.note(registry, {"removes": " ".join(names), "id": uuid.uuid4().hex})
    for tag in names:
        registry.put(tag, note)
    try:
        registry.delete(note.digest)
    except TaskError as error:
        console.warn(f"unused tags stay in the registry: {', '.join(names)} ({error})")
