"""The networks of a stack: `stack deploy` never changes the options of an existing one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ... import console
from ...ssh.host import Host
from ..preflight import AGAIN
from ..stack import Stack
from .client import Swarm

ENCRYPTED = "encrypted"
# Whether the kernel has ESP, loaded or to be loaded. Without it, the engine makes an encrypted
# network all the same, through which nothing gets from one server to another.
IPSEC = (
    "grep -qw esp_output_head /proc/kallsyms || "
    'grep -qs /esp4[.]ko "/lib/modules/$(uname -r)"/modules.* && echo yes || echo no'
)


def problems(swarm: Swarm, hosts: Sequence[Host], stack: Stack) -> Iterator[str]:
    """Yield each reason why a stack's networks cannot be as it says."""
    for wanted in stack.content["networks"].values():
        encrypted = ENCRYPTED in wanted.get("driver_opts", {})
        for host in hosts if encrypted else ():
            if host.run(IPSEC, changes=False).strip() != "yes":
                hint = "take ENCRYPTED out of `values` of the environment"
                yield f"{host.name}: its kernel cannot encrypt the network (no ESP) - {hint}"
        for found in swarm.objects("network", f"name={wanted['name']}"):
            if found["Name"] == wanted["name"]:
                yield from _differences(found, wanted, encrypted)


def _differences(
    found: Mapping[str, Any], wanted: Mapping[str, Any], encrypted: bool
) -> Iterator[str]:
    """Yield how a network is not what it should be; only warn of what does no harm."""
    if encrypted != (ENCRYPTED in (found["Options"] or {})):
        state = "not encrypted" if encrypted else "encrypted"
        yield f"network {found['Name']} was made {state} - {AGAIN}"
    if found["Attachable"] and not wanted.get("attachable"):
        console.warn(f"network {found['Name']} was made attachable - {AGAIN}")
