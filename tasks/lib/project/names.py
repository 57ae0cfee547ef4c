"""The names that Docker's objects get on servers, from those in invoke.yaml, and their limits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

# The length that a long dynamic environment's name is cut to.
LONGEST = 24
# How the stack of monitoring is called after the project; no environment may be called so.
MONITORING = "monitoring"
# How many characters Swarm allows, by the kind of object:
# https://github.com/moby/swarmkit/blob/master/manager/controlapi/common.go
LIMITS = {"secret": 64, "config": 64, "service": 63, "network": 63}
# How the longest names end: after a secret's; a config with a mark of its content; a job.
VERSION, CONFIG, JOB, NETWORK = "_v9999", "_caddyfile_123456789abc", "_jobs_migrate", "_default"


def is_dynamic(name: str) -> bool:
    """Return whether an environment is one of many of its kind."""
    return "/" in name


def short(name: str) -> str:
    """Return an environment's name as stacks and folders have it; a long dynamic one is cut."""
    label = name.replace("/", "-")
    if not is_dynamic(name) or len(label) <= LONGEST:
        return label
    mark = hashlib.sha256(label.encode()).hexdigest()[:6]
    return f"{label[: LONGEST - 7].rstrip('-')}-{mark}"


def stack_name(project: str, environment: str) -> str:
    """Return the name of an environment's stack."""
    return f"{project}-{short(environment)}"


def too_long(kind: str, name: str) -> str:
    """Return what is wrong with the length of an object's name; empty if nothing is."""
    limit = LIMITS[kind]
    return f"{kind} {name}: {len(name)} characters, at most {limit}" if len(name) > limit else ""


def longest(project: str, environment: str, secrets: Sequence[str]) -> tuple[str, str]:
    """Return the kind and the name of the object of an environment that is nearest to its limit."""
    stack = stack_name(project, environment.replace("*", "x" * LONGEST))
    named = [("secret", f"{stack}_{name}{VERSION}") for name in secrets]
    ends = {"config": CONFIG, "service": JOB, "network": NETWORK}
    named += [(kind, f"{stack}{end}") for kind, end in ends.items()]
    return max(named, key=lambda each: len(each[1]) - LIMITS[each[0]])


def problems(
    project: str, secrets: Sequence[str], environments: Iterable[str]
) -> list[tuple[tuple[str, ...], str]]:
    """Return the environments in which a name is too long for Docker, by keys of invoke.yaml."""
    hint = "shorten project.name, the environment's name or the secret's"
    found = {name: too_long(*longest(project, name, secrets)) for name in environments}
    return [(("environments", name), f"{what} - {hint}") for name, what in found.items() if what]
