"""The ports that are taken on a server: by containers, and by other processes."""

from __future__ import annotations

import re

from ..provisioning.sockets import listening
from .stack import STACK

SWARM_STACK = "com.docker.stack.namespace"
# As docker lists a container's: 0.0.0.0:80->80/tcp, [::]:9000-9001->9000-9001/tcp.
PUBLISHED = re.compile(r":(\d+)(?:-(\d+))?->[\d-]+/(\w+)")
CONTAINERS = (
    f'{{{{.Names}}}}\t{{{{.Label "{SWARM_STACK}"}}}}{{{{.Label "{STACK}"}}}}\t{{{{.Ports}}}}'
)
OTHER = "another process"


def add(found: dict[str, set[str]], containers: str, sockets: str) -> None:
    """Add the ports of a server's containers, and those of its other processes."""
    docker = set()
    for line in containers.splitlines():
        name, stack, shown = line.split("\t")
        docker |= (ports := listed(shown))
        found[stack or f"container {name}"] |= ports
    found[OTHER] |= listening(sockets) - docker


def listed(shown: str) -> set[str]:
    """Return the ports of the server in docker's list of a container's ports."""
    return {
        f"{port}/{protocol}"
        for first, last, protocol in PUBLISHED.findall(shown)
        for port in range(int(first), int(last or first) + 1)
    }
