"""The disks of an environment's servers, and our images there."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from ..console import table
from ..ssh.host import Host
from .connection import Target
from .storage import size


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server: the space of the disk with the engine's data, and our images there, in bytes.

    Args:
        images_size: at most; layers that images share count for each.
    """

    name: str
    disk_size: int
    disk_free: int
    images: int
    images_size: int


def servers(target: Target) -> list[Server]:
    """Return the servers; none for a cluster, which takes care of its own disks."""
    if not target.hosts:
        return []
    repository = target.registry.image.name
    with ThreadPoolExecutor() as pool:
        found = pool.submit(target.orchestrator.stored_images, repository)
        disks = [*pool.map(disk, target.hosts)]
    stored = {each.server: each for each in found.result()}
    return [
        Server(
            name=host.name,
            disk_size=whole,
            disk_free=free,
            images=stored[host.name].images,
            images_size=stored[host.name].size,
        )
        for host, (whole, free) in zip(target.hosts, disks, strict=True)
    ]


def shown(servers: Sequence[Server]) -> str:
    """Return a table of servers; empty for none."""
    rows = [
        (
            each.name,
            f"{size(each.disk_free)} of {size(each.disk_size)}",
            str(each.images),
            size(each.images_size),
        )
        for each in servers
    ]
    return table(rows, ("server", "disk free", "images", "at most")) if rows else ""


def disk(host: Host) -> tuple[int, int]:
    """Return the size of the disk with the engine's data, and its free space, in bytes."""
    found = host.run("df -Pk /var/lib/docker 2>/dev/null || df -Pk /", changes=False)
    fields = found.splitlines()[-1].split()
    return int(fields[1]) * 1024, int(fields[3]) * 1024
