"""Docker Swarm as an orchestrator; see base.Orchestrator for what each method promises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from invoke import Context

from ...ssh.host import Host
from ..base import Guard, Job, LogOptions
from ..stack import Stack
from ..status import Evidence, Failure, Node, Service
from . import evidence, jobs, logs, rendering, setup, tasks, teardown
from .client import STACK, Swarm
from .preflight import Preflight
from .progress import node, observed
from .rollout import SwarmRollout


class SwarmOrchestrator:
    """One stack on a Swarm.

    Args:
        hosts: the servers that answer; the first is a manager, through which the Swarm is asked.
        stack: the stack's name.
        env: the variables that let docker reach the first host, and log in to the registry.
        setup: the command that sets the servers up, for messages.
    """

    poll = 0.3

    def __init__(
        self, ctx: Context, hosts: Sequence[Host], stack: str, env: Mapping[str, str], setup: str
    ) -> None:
        self._ctx, self._hosts, self._stack, self._setup = ctx, hosts, stack, setup
        self._swarm = Swarm(ctx, env)

    # What really is there.

    def services(self) -> dict[str, Service]:
        """Return the stack's services, as they run."""
        found = self._swarm.services(self._stack)
        known = tasks.inspect(self._swarm, found.values())
        return {name: observed(name, service, known) for name, service in sorted(found.items())}

    def nodes(self) -> list[Node]:
        """Return the Swarm's nodes."""
        return [node(each) for each in self._swarm.nodes()]

    def ports(self) -> dict[str, set[int]]:
        """Return the ports that each stack publishes; none where there is no Swarm."""
        found: dict[str, set[int]] = defaultdict(set)
        if not self._swarm.info()["Swarm"].get("ControlAvailable"):
            return found
        listed = self._swarm.query("service", "ls", "--quiet").split()
        for service in self._swarm.inspect("service", listed):
            stack = service["Spec"]["Labels"].get(STACK, "")
            for port in service["Spec"].get("EndpointSpec", {}).get("Ports", []):
                found[stack].add(port.get("PublishedPort", 0))
        return found

    def problems(self) -> list[str]:
        """Check the servers: Docker's version, free disk, the Swarm, the node of the data."""
        return Preflight(self._ctx, self._swarm, self._hosts, self._stack, self._setup).problems()

    def missing(self, stack: Stack) -> list[str]:
        """Return the secrets and configs that a recorded stack needs and that are gone."""
        return [
            f"{kind} {name}"
            for kind in ("secret", "config")
            for name in sorted(stack.versions(f"{kind}s") - {*self._swarm.names(kind)})
        ]

    def evidence(self, failure: Failure) -> Evidence:
        """Return what is left of a failed replica."""
        return evidence.collect(self._swarm, self._hosts, failure)

    def logs(self, services: Sequence[str], options: LogOptions) -> None:
        """Print what services logged, all replicas interleaved."""
        logs.show(self._swarm, self._stack, services, options)

    # Servers and secrets.

    def set_up(self) -> Iterator[str]:
        """Make one Swarm of the servers; yield a line for each change."""
        return setup.set_up(self._ctx, self._hosts, self._stack)

    def secrets(self) -> dict[str, list[str]]:
        """Return the versions of each secret, the newest first."""
        return self._swarm.secrets(self._stack)

    def set_secret(self, name: str, value: str) -> str:
        """Store the next version of a secret; return its name."""
        return self._swarm.set_secret(self._stack, name, value)

    def remove_secret(self, name: str) -> None:
        """Delete all versions of a secret."""
        self._swarm.run("secret", "rm", *self.secrets()[name])

    # Changes.

    def render(self, config: Mapping[str, Any], image: str, names: Collection[str]) -> Stack:
        """Return the stack as `docker stack deploy` accepts it."""
        versions = {key: found[0] for key, found in self.secrets().items()}
        known = {name: versions.get(name, "") for name in names}
        return rendering.render(config, self._stack, image, known)

    def rollout(self, stack: Stack, back: bool = False, prune: bool = True) -> SwarmRollout:
        """Return the rollout of a stack."""
        return SwarmRollout(self._swarm, stack, back, prune)

    def run_jobs(
        self, stack: Stack, jobs_: Sequence[Job], timeout: float, guard: Guard, answer: str = ""
    ) -> str:
        """Run one-off jobs at the same time."""
        return jobs.run(self._swarm, stack, jobs_, timeout, guard, answer)

    def clear_jobs(self) -> None:
        """Remove the jobs that a killed deploy has left."""
        jobs.clear(self._swarm, self._stack)

    def remove_services(self, names: Sequence[str]) -> None:
        """Remove services by their names in the stack."""
        self._swarm.remove_services([f"{self._stack}_{name}" for name in names])

    def tidy(self, used: Collection[str]) -> None:
        """Delete secrets and configs that are not in use."""
        self._swarm.tidy(self._stack, used)

    def remove(self, volumes: bool) -> None:
        """Remove the stack from every server."""
        jobs.clear(self._swarm, self._stack)
        teardown.remove(self._swarm, self._hosts, self._stack, volumes)
