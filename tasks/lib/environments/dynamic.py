"""Dynamic environments: as many of a kind as are wanted, such as review/NAME."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import ExitCode, TaskError
from ..orchestrators.base import Orchestrator
from ..project.names import short
from ..project.settings import Environment


def named(kind: str, name: str) -> str:
    """Return the name of an environment of a kind; the kind itself without a name."""
    return f"{kind}/{name}" if name else kind


def addressed(environment: Environment, name: str) -> Environment:
    """Return an environment whose address has its name, as its stack has it, for {NAME}."""
    url = environment.url.replace("{NAME}", short(name))
    return msgspec.structs.replace(environment, url=url)


def assign_ports(environment: Environment, orchestrator: Orchestrator, stack: str) -> Environment:
    """Return a stack's environment with one port of each list; see choose."""
    lists = {key: value for key, value in environment.values.items() if isinstance(value, list)}
    if not lists:
        return environment
    ports = {
        name: {int(port.partition("/")[0]) for port in used}
        for name, used in orchestrator.ports().taken.items()
    }
    chosen: dict[str, int] = {}
    for key, choice in lists.items():
        rest = [port for port in choice if port not in chosen.values()]
        chosen[key] = choose(key, rest, ports, stack)
    values: dict[str, Any] = {**environment.values, **chosen}
    url = re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), environment.url)
    return msgspec.structs.replace(environment, values=values, url=url)


def choose(key: str, choice: list[int], ports: Mapping[str, set[int]], stack: str) -> int:
    """Return a port for a stack: the one that it has, or a free one. Raises TaskError without one.

    Two stacks that choose at the same time seldom choose the same: each begins elsewhere.
    """
    mine = ports.get(stack, set())
    taken = set().union(*(used for name, used in ports.items() if name != stack))
    start = int(hashlib.sha256(stack.encode()).hexdigest(), 16) % max(len(choice), 1)
    free = [port for port in choice[start:] + choice[:start] if port not in taken]
    if not free:
        hint = f"remove an unused environment: inv destroy --env={stack.partition('-')[2]}"
        raise TaskError(f"every port of {key} is taken", hint, ExitCode.REFUSED)
    return min(free, key=lambda port: port not in mine)
