"""Sites: environments that come and go, as many of a kind as are wanted: review/NAME."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import ExitCode, TaskError
from ..orchestrators.swarm.client import STACK

if TYPE_CHECKING:
    from ..orchestrators.swarm.client import Swarm
    from ..project.settings import Environment

# Docker allows 64 characters in the name of a secret, and these are followed by more.
LONGEST = 24


def is_dynamic(name: str) -> bool:
    """Whether an environment is one of many of its kind."""
    return "/" in name


def named(kind: str, name: str) -> str:
    """The environment of a name among those of a kind; the kind itself without a name."""
    return f"{kind}/{name}" if name else kind


def short(name: str) -> str:
    """An environment's name as stacks and folders bear it; a site's own is cut where it is long."""
    label = name.replace("/", "-")
    if not is_dynamic(name) or len(label) <= LONGEST:
        return label
    mark = hashlib.sha256(label.encode()).hexdigest()[:6]
    return f"{label[: LONGEST - 7].rstrip('-')}-{mark}"


def assign_ports(environment: Environment, swarm: Swarm, stack: str) -> Environment:
    """The environment of a stack: of each list of ports one that is its own, or that is free.

    Raises TaskError when other stacks have them all.
    """
    lists = {key: each for key, each in environment.values.items() if isinstance(each, list)}
    if not lists:
        return environment
    ports = published(swarm) if swarm.info()["Swarm"].get("ControlAvailable") else {}
    values: dict[str, Any] = {**environment.values}
    for key, choice in lists.items():
        values[key] = choose(key, choice, ports, stack)
    url = re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), environment.url)
    return msgspec.structs.replace(environment, values=values, url=url)


def choose(key: str, choice: list[int], ports: Mapping[str, set[int]], stack: str) -> int:
    """A port for a stack: the one that it has, else one that nobody has.

    Two that choose at the same time seldom choose the same: each begins elsewhere.
    """
    mine = ports.get(stack, set())
    taken = set().union(*(each for name, each in ports.items() if name != stack))
    start = int(hashlib.sha256(stack.encode()).hexdigest(), 16) % len(choice)
    turned = choice[start:] + choice[:start]
    for port in sorted(turned, key=lambda port: port not in mine):
        if port not in taken:
            return port
    hint = f"inv destroy --env={stack.partition('-')[2]}: one that is not needed"
    raise TaskError(f"every port of {key} is taken", hint, ExitCode.REFUSED)


def published(swarm: Swarm) -> dict[str, set[int]]:
    """The ports that the servers' stacks publish."""
    found = defaultdict(set)
    for service in swarm.inspect("service", swarm.query("service", "ls", "--quiet").split()):
        stack = service["Spec"]["Labels"].get(STACK, "")
        for port in service["Spec"].get("EndpointSpec", {}).get("Ports", []):
            found[stack].add(port.get("PublishedPort", 0))
    return found
