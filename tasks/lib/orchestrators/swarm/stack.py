"""The stack: Compose's files as Swarm takes them, pinned and complete. It asks nobody."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# The label of a service that says of which release it is.
RELEASE = "deploy.release"
# How the name of the stack ends that a stack's jobs are in.
JOBS = "_jobs"


@dataclass(frozen=True)
class Stack:
    """A rendered stack.

    Args:
        name: what its services, networks and volumes begin with.
        image: the app's image, by its digest.
        content: what is given to Swarm.
        configs: the content of each config, by the name it has in the Swarm.
    """

    name: str
    image: str
    content: dict[str, Any]
    configs: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> list[str]:
        """The services that run the app's image."""
        services = self.content["services"]
        return [name for name, each in services.items() if each["image"] == self.image]

    def labelled(self, release: int) -> Stack:
        """The stack with a release's number on every service."""
        content = copy.deepcopy(self.content)
        for service in content["services"].values():
            service["deploy"].setdefault("labels", {})[RELEASE] = str(release)
        return Stack(self.name, self.image, content, self.configs)

    def only(self, services: Sequence[str]) -> Stack:
        """The stack with these services alone."""
        content = copy.deepcopy(self.content)
        content["services"] = {name: content["services"][name] for name in services}
        return Stack(self.name, self.image, content, self.configs)

    def job(self, name: str, command: Sequence[str], every: bool = False, **more: Any) -> Stack:
        """A stack of one job: the app's image, with what the app has, run once to its end.

        It is a service that is never restarted, and none of Swarm's own jobs: every manager that
        was the leader once starts those again (https://github.com/moby/moby/issues/53632).

        Args:
            every: once on every node.
            more: keys of the service that are others than the app's.
        """
        service = copy.deepcopy(self.content["services"][self.ours[0]]) | more
        service |= {"command": [word.replace("$", "$$") for word in command]}
        service["healthcheck"] = {"disable": True}
        service["networks"] = {"default": None}
        deploy = {key: service["deploy"][key] for key in ("resources",) if key in service["deploy"]}
        service["deploy"] = more.get("deploy", deploy) | {
            "mode": "global" if every else "replicated",
            "restart_policy": {"condition": "none"},
            "endpoint_mode": "dnsrr",
        }
        used = {key: _used(service, key, self.content) for key in ("secrets", "configs", "volumes")}
        network = {"external": True, "name": self.content["networks"]["default"]["name"]}
        content = {"version": "3.12", "services": {name: service}, "networks": {"default": network}}
        return Stack(f"{self.name}{JOBS}", self.image, content | used, {})

    def text(self) -> str:
        """The stack as a file for `docker stack deploy`."""
        return json.dumps(self.content, indent=1)


def together(stacks: Sequence[Stack]) -> Stack:
    """Several jobs of a stack as one stack."""
    first, *rest = stacks
    content = copy.deepcopy(first.content)
    for each in rest:
        for key, part in each.content.items():
            content[key] = {**content[key], **part} if isinstance(part, dict) else part
    return Stack(first.name, first.image, content)


def _used(service: Mapping[str, Any], key: str, content: Mapping[str, Any]) -> dict[str, Any]:
    names = {each["source"] for each in service.get(key, []) if each.get("source")}
    found = {name: each for name, each in content.get(key, {}).items() if name in names}
    if key == "volumes":
        return {name: {"external": True, "name": each["name"]} for name, each in found.items()}
    return found


def load(name: str, image: str, text: str) -> Stack:
    """A stack that was recorded."""
    return Stack(name, image, json.loads(text), {})


def difference(old: Stack | None, new: Stack) -> list[str]:
    """What changes from a stack to another, a line for each value; empty when nothing does."""
    before, after = (_values(each) if each else {} for each in (old, new))
    lines = [f"- {key}: {value}" for key, value in before.items() if key not in after]
    for key, value in after.items():
        if key not in before:
            lines.append(f"+ {key}: {value}")
        elif before[key] != value:
            lines.append(f"~ {key}: {before[key]} -> {value}")
    return lines


def _values(stack: Stack) -> dict[str, str]:
    """Every value of a stack by its path, but for the release's number, which always differs."""
    return {key: value for key, value in _walk(stack.content, "") if not key.endswith(RELEASE)}


def _walk(part: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(part, dict) and part:
        for key, each in part.items():
            yield from _walk(each, f"{path}.{key}" if path else key)
    elif isinstance(part, list) and part and any(isinstance(each, dict) for each in part):
        for number, each in enumerate(part):
            yield from _walk(each, f"{path}[{number}]")
    else:
        yield path, json.dumps(part) if isinstance(part, list | dict) else str(part)
