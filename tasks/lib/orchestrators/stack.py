"""A stack: the project's Compose files for one environment, pinned and complete."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..project import contract

# Labels of a service: the number of its release, and where the history is that has it.
RELEASE, HISTORY = "deploy.release", "deploy.history"
# Labels of our own: the stack that something belongs to; a container's service, without a Swarm.
STACK, SERVICE = "deploy.stack", "deploy.service"


@dataclass(frozen=True)
class Stack:
    """A rendered stack.

    Args:
        name: the prefix of its services, networks and volumes.
        image: the app's image, by digest; empty for a stack without the app.
        content: what is given to the orchestrator.
        configs: the text of each config, by the name of its version.
    """

    name: str
    image: str
    content: dict[str, Any]
    configs: dict[str, str] = field(default_factory=dict)

    @property
    def services(self) -> dict[str, Any]:
        """The services by name."""
        return dict(self.content["services"])

    @property
    def ours(self) -> list[str]:
        """The services that run the app's image."""
        return [name for name, each in self.services.items() if each["image"] == self.image]

    @property
    def backing(self) -> list[str]:
        """The services that the app needs: neither the app's own nor the proxy."""
        others = self.services.items()
        return [name for name, each in others if name not in self.ours and not each.get("ports")]

    @property
    def metrics(self) -> dict[str, int]:
        """The ports of the services that serve metrics."""
        known = ((name, each.get("environment", {})) for name, each in self.services.items())
        return {name: int(each["METRICS"]) for name, each in known if each.get("METRICS")}

    def labelled(self, release: int, history: str) -> Stack:
        """Return the stack with a release's number, and its history's place, on every service."""
        content = copy.deepcopy(self.content)
        for service in content["services"].values():
            labels = {RELEASE: str(release), HISTORY: history}
            service["deploy"]["labels"] = service["deploy"].get("labels", {}) | labels
        return replace(self, content=content)

    def only(self, services: Sequence[str]) -> Stack:
        """Return the stack with these services alone."""
        some = {name: self.services[name] for name in services}
        return replace(self, content=self.content | {"services": some})

    def part(self, name: str) -> dict[str, Any]:
        """Return the part of the content that one service is made from."""
        service = self.services[name]
        known = {
            "secrets": [use["source"] for use in service.get("secrets", [])],
            "configs": [use["source"] for use in service.get("configs", [])],
            "networks": list(service.get("networks") or {}),
            "volumes": [use.get("source") for use in service.get("volumes", [])],
        }
        parts = {
            kind: {key: each for key, each in self.content.get(kind, {}).items() if key in names}
            for kind, names in known.items()
        }
        return {"services": {name: service}, **parts}

    def versions(self, kind: str) -> set[str]:
        """Return the names of the versions that it uses, of its secrets or its configs."""
        return {entry["name"] for entry in self.content.get(kind, {}).values()}

    def text(self) -> str:
        """Return the stack as a JSON file."""
        return json.dumps(self.content, indent=1)


def load(name: str, image: str, text: str) -> Stack:
    """Return a recorded stack; if its record has lost the app's image, the stack itself has it."""
    content = json.loads(text)
    app = content.get("services", {}).get(contract.APP, {})
    return Stack(name, image or app.get("image", ""), content)


def difference(old: Stack | None, new: Stack) -> list[str]:
    """Return what changes from one stack to another, a line for each value."""
    return changes(old.content if old else {}, new.content)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what changes, a line for each value; the release's labels are left out."""
    before, after = dict(_walk(old, "")), dict(_walk(new, ""))
    return [f"- {key}: {value}" for key, value in before.items() if key not in after] + [
        f"~ {key}: {before[key]} -> {value}" if key in before else f"+ {key}: {value}"
        for key, value in after.items()
        if before.get(key) != value
    ]


def drift(applied: Mapping[str, Any], services: Mapping[str, Any]) -> list[str]:
    """Return what was changed by hand: in what runs, against the specs that were applied.

    A variable that was added may be a secret: its value is left out.
    """
    lines = [f"- {name}" for name in applied if name not in services]
    lines += [f"+ {name}" for name in services if name not in applied]
    same = {*applied} & {*services}
    pairs = ({name: each[name] for name in sorted(same)} for each in (applied, services))
    added = re.compile(r"(\+ \S+\.(?:Env|environment)\.\S+): .*", re.DOTALL)
    return lines + [added.sub(r"\1", line) for line in changes(*pairs)]


def _walk(part: Any, path: str) -> Iterator[tuple[str, str]]:
    """Give every value of a stack by its path, without the release's labels."""
    if isinstance(part, Mapping) and part:
        for key, value in part.items():
            yield from _walk(value, f"{path}.{key}" if path else key)
    elif isinstance(part, list) and part and any(isinstance(item, dict) for item in part):
        for number, item in enumerate(part):
            yield from _walk(item, f"{path}[{number}]")
    elif path and not path.endswith((RELEASE, HISTORY)):
        yield path, json.dumps(part) if isinstance(part, Mapping | list) else str(part)
