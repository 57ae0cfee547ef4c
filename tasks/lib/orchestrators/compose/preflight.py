"""What must hold on the one server before a deploy; nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ... import console
from ...docker import client
from ...docker.cli import DockerError
from ...ssh.host import Host
from ..ports import SWARM_STACK
from ..preflight import engine_problem, full, machine, moved, outdated
from .server import Server

# The first Compose that mounts one file of a volume.
COMPOSE = (2, 26)
ONE = "{name}: {count} servers - `orchestrator: compose` is for one; `swarm` joins several"
# The lowest port that a user who is not root may bind.
LOWEST = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
FLOCK = "command -v flock || true"
LINGER = 'loginctl show-user "$(id -un)" --property=Linger --value 2>/dev/null || true'


def several(hosts: Sequence[Host], absent: int) -> list[str]:
    """Return the problem of an environment with several servers."""
    count = len(hosts) + absent
    return [ONE.format(name=hosts[0].name, count=count)] if count > 1 else []


def problems(server: Server, hosts: Sequence[Host], absent: int) -> list[str]:
    """Return every problem, a line each."""
    host, found = hosts[0], several(hosts, absent)
    try:
        info = server.info()
    except DockerError as error:
        return [*found, engine_problem(host, error.reason)]
    found += outdated(host.name, info["ServerVersion"])
    with ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(machine, server.ctx),
            pool.submit(lambda: _plugin(client.plugin(server.ctx, "compose"))),
            pool.submit(full, host, info["DockerRootDir"]),
            pool.submit(_rootless, host, info),
            pool.submit(_unlocked, host),
            pool.submit(moved, server, host.name, server.stack, SWARM_STACK, "swarm", "compose"),
        ]
    return found + _limits(host.name, info) + [line for each in asked for line in each.result()]


def _plugin(shown: str) -> list[str]:
    """Return the problem with this machine's Compose, which makes the containers there."""
    number = shown.rpartition(" ")[2].lstrip("v").split("-")[0]
    parts = [int(part) for part in number.split(".")[:2] if part.isdigit()]
    if tuple(parts) >= COMPOSE:
        return []
    wanted = ".".join(map(str, COMPOSE))
    return [f"this machine: Docker Compose {number or 'is missing'} - install {wanted} or later"]


def _unlocked(host: Host) -> list[str]:
    """Return the problem of a server without what replacement.py needs there."""
    if host.run(FLOCK, changes=False).strip():
        return []
    return [f"{host.name}: no command flock - install the package util-linux there"]


def _limits(name: str, info: Mapping[str, Any]) -> list[str]:
    """Return the limits of compose/server.yml that the engine says it would not keep."""
    keys = {"memory": "MemoryLimit", "pids": "PidsLimit"}
    missing = [limit for limit, key in keys.items() if info.get(key) is False]
    hint = "delegate the cgroup controllers to the user of a rootless engine"
    return [f"{name}: its Docker keeps no limit of {' and '.join(missing)} - {hint}"] * bool(
        missing
    )


def _rootless(host: Host, info: Mapping[str, Any]) -> list[str]:
    """Return what a rootless engine lacks to serve, also after a start of the server."""
    if not any("rootless" in each for each in info.get("SecurityOptions") or []):
        return []
    console.warn(
        f"{host.name}: rootless Docker may show the proxy one address for all clients: what counts"
        " by address, such as wrong passwords, then counts all of them together"
    )
    found = []
    if host.run(LINGER, changes=False).strip() == "no":
        hint = "sudo loginctl enable-linger USER there"
        found.append(f"{host.name}: rootless Docker ends when its user logs out - {hint}")
    if int(host.run(LOWEST, changes=False)) > 80:
        hint = (
            "sudo sysctl net.ipv4.ip_unprivileged_port_start=80 there, or set HTTP_PORT, HTTPS_PORT"
        )
        found.append(f"{host.name}: rootless Docker cannot publish port 80 - {hint}")
    return found
