"""A stack's containers as docker inspects them, and the services that they make up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..stack import HISTORY, RELEASE, SERVICE
from ..status import Progress, Service
from .spec import accepted, of_container

# Labels of a container beside its service: the generation that it was made in, and the part of the
# stack that it was made from. Without a service it is a job, or only there to fill a volume.
GENERATION, CONTENT = "deploy.generation", "deploy.content"
# The restart policy of a container that was accepted. Before that it has none, so that a start of
# the server leaves it alone.
ACCEPTED, NONE = "unless-stopped", "no"


@dataclass(frozen=True)
class Container:
    """A container of a service."""

    facts: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its ID."""
        return str(self.facts["Id"])

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.facts["Config"]["Labels"])

    @property
    def service(self) -> str:
        """Its service's name."""
        return self.labels[SERVICE]

    @property
    def generation(self) -> str:
        """What it and all that were made with it are called by."""
        return self.labels.get(GENERATION, "")

    @property
    def release(self) -> str:
        """The number of the release that it was made for; empty without one."""
        return self.labels.get(RELEASE, "")

    @cached_property
    def content(self) -> dict[str, Any]:
        """The part of the stack that it was made from."""
        return dict(json.loads(self.labels[CONTENT]))

    @property
    def wanted(self) -> int:
        """How many replicas its service is to have."""
        return replicas(self.content["services"][self.service])

    @property
    def policy(self) -> str:
        """Its restart policy."""
        return str(self.facts["HostConfig"]["RestartPolicy"]["Name"])

    @property
    def accepted(self) -> bool:
        """Whether it may be in use: it was started, and has a restart policy."""
        return self.state != "created" and self.policy not in ("", NONE)

    @property
    def state(self) -> str:
        """Docker's word for its state, such as running or exited."""
        return str(self.facts["State"]["Status"])

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs."""
        return self.state in ("created", "exited", "dead")

    @property
    def health(self) -> str:
        """Docker's word for its health; empty without a health check."""
        found = str((self.facts["State"].get("Health") or {}).get("Status", ""))
        return "" if found == "none" else found

    @property
    def healthy(self) -> bool:
        """Whether it runs, and its health check, if it has one, says exactly "healthy"."""
        return self.state == "running" and self.health in ("healthy", "")

    @property
    def number(self) -> str:
        """Which replica of its service it is."""
        return self.labels.get("com.docker.compose.container-number", "")

    @cached_property
    def spec(self) -> dict[str, Any]:
        """What it was given; see spec.of_container."""
        return of_container(self.facts)

    def failure(self, restarts: int = 0) -> str:
        """Return why it counts as failed, if it has restarted no more often than so; else empty."""
        state, replica = self.facts["State"], f"replica {self.number}"
        if self.state in ("exited", "dead"):
            memory = ", out of memory" if state.get("OOMKilled") else ""
            return f"{replica} exited (exit code {state['ExitCode']}{memory})"
        if self.state == "restarting" or self.facts["RestartCount"] > restarts:
            # That of one that runs again says nothing.
            code = f" (exit code {state['ExitCode']})" if state["ExitCode"] else ""
            return f"{replica} ended and was restarted{code}"
        return f"{replica} is unhealthy" if self.health == "unhealthy" else ""


def replicas(service: Mapping[str, Any]) -> int:
    """Return how many replicas a service of a stack is to have."""
    return int(service.get("deploy", {}).get("replicas", 1))


def by_service(containers: Sequence[Container]) -> dict[str, list[Container]]:
    """Return containers by their service."""
    names = sorted({each.service for each in containers})
    return {name: [each for each in containers if each.service == name] for name in names}


def serving(containers: Sequence[Container]) -> list[Container]:
    """Return those containers of one service that are in use: the newest accepted generation's.

    Without an accepted one, those of the newest.
    """
    known = [each for each in containers if each.accepted] or containers
    newest = max(known, key=lambda each: str(each.facts["Created"]), default=None)
    return [each for each in known if newest and each.generation == newest.generation]


def reusable(
    containers: Sequence[Container], new: Sequence[Container], rolled: bool
) -> list[Container]:
    """Return those of a service's containers that can stay in place of new ones of the same spec.

    Args:
        rolled: the service is the app's own: only what serves, for the same release, can stay.
    """
    wanted = accepted(new[0].spec, ACCEPTED) if new else None
    old = [each for each in containers if each not in new]
    same = [each for each in old if accepted(each.spec, ACCEPTED) == wanted]
    if not rolled:
        return [each for each in serving(same) if each.health != "unhealthy"]
    used = [each for each in serving(containers) if each.accepted and each.healthy]
    return [each for each in same if each in used and each.release == new[0].release]


def services(containers: Sequence[Container], app: str, node: str) -> dict[str, Service]:
    """Return the services as they run; `app` is the service that says which release that is."""
    found = by_service(containers)
    first = next(iter(serving(found.get(app, []))), None)
    return {name: _service(name, mine, first, node) for name, mine in found.items()}


def _service(name: str, all_: Sequence[Container], app: Container | None, node: str) -> Service:
    mine = serving(all_)
    first = _part_of(mine[0], app)
    healthy = sum(each.healthy for each in mine)
    old = sum(each.state in ("running", "restarting") for each in all_ if each not in mine)
    wanted = mine[0].wanted
    progress = Progress(name, wanted, healthy, max(wanted - healthy, 0), old)
    image, history = mine[0].facts["Config"]["Image"], first.labels.get(HISTORY, "")
    nodes = [node] if any(each.state == "running" for each in mine) else []
    known = (name, image, first.release, progress, history, nodes, spec_of(mine))
    return Service(*known, labels=mine[0].labels)


def _part_of(container: Container, app: Container | None) -> Container:
    """Return the container whose release one belongs to: the app's, unless it is newer.

    What a release leaves as it was is not made anew for it, and labels cannot be changed.
    """
    if app is None or _number(container) > _number(app):
        return container
    return app


def _number(container: Container) -> int:
    return int(container.release) if container.release.isdigit() else 0


def spec_of(containers: Sequence[Container]) -> dict[str, Any]:
    """Return the spec of a service, from its containers in use."""
    first, *rest = [each.spec for each in containers]
    others = [each for each in rest if each != first]
    running = sum(each.state == "running" for each in containers)
    return {"Replicas": running, **first} | ({"Others": others} if others else {})
