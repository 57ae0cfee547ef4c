"""What an environment keeps on its servers: images, and dumps of its database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ..console import table
from ..project import contract
from ..project.settings import ELSEWHERE
from ..ssh.host import Host
from .connection import Target

# Now, and then when each dump was written and its bytes.
DUMPS = f"cd {contract.BACKUPS_FOLDER}; date +%s; stat -c '%Y %s' *.dump 2>/dev/null || true"
HOUR, DAY = 3600, 86400


def servers(target: Target) -> str:
    """Return a table of the servers: the free space of their disks, and our images there."""
    repository = target.registry.image.name
    with ThreadPoolExecutor() as pool:
        found = pool.submit(target.orchestrator.stored_images, repository)
        disks = [*pool.map(disk, target.hosts)]
    stored = {each.server: each for each in found.result()}
    rows = [
        (host.name, free, str(stored[host.name].images), size(stored[host.name].size))
        for host, free in zip(target.hosts, disks, strict=True)
    ]
    return table(rows, ("server", "disk free", "images", "at most"))


def disk(host: Host) -> str:
    """Return the free space of the disk with the engine's data."""
    shown = host.run("df -Ph /var/lib/docker 2>/dev/null || df -Ph /", changes=False)
    fields = shown.splitlines()[-1].split()
    return f"{fields[3]} of {fields[1]}"


def backups(target: Target) -> str:
    """Return how many dumps of the database there are, how large, and how old the newest is."""
    if ELSEWHERE in target.settings.deploy.secrets:
        return "its operator's"
    shown = target.orchestrator.inside(contract.DATABASE, DUMPS)
    return described(shown) if shown else "unknown, as the database is not reached"


def described(shown: str) -> str:
    """Return in words what DUMPS printed."""
    now, *lines = shown.splitlines()
    dumps = [tuple(map(int, line.split())) for line in lines]
    if not dumps:
        return "none"
    newest = int(now) - max(written for written, _ in dumps)
    return f"{len(dumps)}, {size(sum(each for _, each in dumps))}, the newest {age(newest)} old"


def size(number: float) -> str:
    """Return a number of bytes with a unit."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def age(seconds: int) -> str:
    """Return a time in its largest unit."""
    if seconds < HOUR:
        return f"{max(seconds, 0) // 60} min"
    return f"{seconds // HOUR} h" if seconds < 2 * DAY else f"{seconds // DAY} days"
