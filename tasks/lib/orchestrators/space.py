"""What takes space on an environment's servers: images and volumes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from .status import Stored, Volume


class Space(Protocol):
    """Knows what is stored on the servers."""

    def stored_images(self, repository: str) -> list[Stored]:
        """Return the images of a repository on each server."""

    def tidy_images(self, repository: str, keep: Collection[str]) -> list[str]:
        """Delete a repository's images on the servers; return each problem.

        One with a tag, a container, a service or a digest of `keep` stays.
        """

    def volumes(self) -> list[Volume]:
        """Return the environment's volumes, also those that nothing uses."""
