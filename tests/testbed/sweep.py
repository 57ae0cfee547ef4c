"""The engine swept: all that bears a mark is removed, records of the build cache too."""

from __future__ import annotations

import re
import sys

from tests.testbed.commands import docker


def sweep(mark: str) -> None:
    """Remove every container, network, volume, image and cache record that bears the mark."""
    kinds = {
        "container": (["ls", "--all", "--format={{.Names}}"], ["rm", "--force", "--volumes"]),
        "network": (["ls", "--format={{.Name}}"], ["rm"]),
        "volume": (["ls", "--format={{.Name}}"], ["rm", "--force"]),
        "image": (["ls", "--format={{.Repository}}:{{.Tag}}"], ["rm", "--force"]),
    }
    for kind, (listing, removal) in kinds.items():
        names = [name for name in _try(kind, *listing).split() if mark in name]
        if names:
            _try(kind, *removal, *names)
    for identity in cache_records(mark, _try("buildx", "du", "--verbose")):
        _try("builder", "prune", "--force", "--all", "--filter", f"id={identity}")


def cache_records(mark: str, listing: str) -> list[str]:
    """The ids of build cache records that bear the mark or build on one that does; youngest first.

    Args:
        listing: what `docker buildx du --verbose` prints.
    """
    parents: dict[str, str] = {}
    ours: list[str] = []
    for record in listing.split("\n\n"):
        if found := re.search(r"^ID:\s+(\w+)", record, re.MULTILINE):
            parents[found[1]] = " ".join(re.findall(r"^Parents?:\s+(.+)", record, re.MULTILINE))
            if mark in record:
                ours.append(found[1])
    for identity in ours:
        ours += [child for child, of in parents.items() if identity in of and child not in ours]
    return ours[::-1]


def _try(*words: str) -> str:
    """What a docker command prints; a failure is told, and does not end the sweep."""
    try:
        return docker(*words)
    except RuntimeError as error:
        print(f"sweep: {error}", file=sys.stderr)
        return ""
