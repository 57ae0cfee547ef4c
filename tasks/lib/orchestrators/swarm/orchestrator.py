"""Docker Swarm as an orchestrator; base.Orchestrator says what each method promises."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from invoke import Context

from ...docker.cli import DockerError
from ...errors import ExitCode, TaskError
from ...provisioning.facts import Facts
from ...ssh.host import Host
from ..base import Guard, Job, LogOptions, Orchestrator
from ..needs import Needs
from ..stack import Stack
from ..status import Evidence, Failure, Lease, Node, Ports, Service, Stored
from . import (
    engine,
    evidence,
    jobs,
    labels,
    logs,
    network,
    ports,
    rendering,
    running,
    secret_reader,
    servers,
    setup,
    tasks,
    teardown,
)
from .client import Swarm
from .leases import Leases
from .preflight import Preflight, not_manager
from .progress import node, observed
from .rollout import SwarmRollout


class SwarmOrchestrator(Orchestrator):
    """One stack on a Swarm.

    Args:
        hosts: the servers that answer; the first is a manager, through which the Swarm is asked.
        env: the variables that let docker reach the first host, and log in to the registry.
        setup: the command that sets the servers up, for messages.
        absent: how many of the environment's servers do not answer.
    """

    poll = 0.3

    def __init__(
        self,
        ctx: Context,
        hosts: Sequence[Host],
        stack: str,
        env: Mapping[str, str],
        setup: str,
        absent: int = 0,
    ) -> None:
        self._hosts, self._stack, self._setup, self._absent = hosts, stack, setup, absent
        self._swarm = Swarm(ctx, env)
        self._leases = Leases(self._swarm, stack)

    def services(self) -> dict[str, Service]:
        found = self._swarm.services(self._stack)
        known = tasks.inspect(self._swarm, found.values())
        return {name: observed(name, service, known) for name, service in sorted(found.items())}

    def running(self) -> Stack:
        return running.read(self._swarm, self._stack)

    def nodes(self) -> list[Node]:
        return [node(each) for each in labels.own(self._swarm.nodes(), self._stack)]

    def ports(self) -> Ports:
        return ports.taken(self._swarm, self._hosts, self._stack)

    def problems(self) -> list[str]:
        asked = self._swarm, self._hosts, self._stack, self._setup, self._absent
        return Preflight(*asked).problems()

    def misfits(self, stack: Stack, auth: str) -> list[str]:
        found = servers.unpullable(self._swarm, self._hosts, stack.image, auth)
        return found + list(network.problems(self._swarm, self._hosts, stack))

    def missing(self, stack: Stack) -> list[str]:
        return [
            f"{kind} {name}"
            for kind in ("secret", "config")
            for name in sorted(stack.versions(f"{kind}s") - {*self._swarm.names(kind)})
        ]

    def evidence(self, failure: Failure) -> Evidence:
        return evidence.collect(self._swarm, self._hosts, failure)

    def logs(self, services: Sequence[str], options: LogOptions) -> None:
        logs.show(self._swarm, self._stack, services, options)

    def try_out(self, service: Mapping[str, Any], command: Sequence[str]) -> None:
        servers.try_out(self._swarm, service, command)

    def lease(self) -> Lease | None:
        try:
            return self._leases.newest()
        except DockerError:
            name = self._hosts[0].name
            if problem := not_manager(name, self._swarm.info(), self._setup):
                raise TaskError(problem, code=ExitCode.REFUSED) from None
            raise

    def take_lease(self, former: Lease | None, text: str) -> Lease | None:
        return self._leases.take(former, text)

    def drop_lease(self, text: str) -> None:
        self._leases.drop(text)

    def stored_images(self, repository: str) -> list[Stored]:
        return servers.stored_images(self._swarm, self._hosts, repository)

    def inside(self, service: str, script: str) -> str | None:
        return servers.inside(self._swarm, self._hosts, f"{self._stack}_{service}", script)

    @staticmethod
    def needs(hosts: Sequence[Host], facts: Sequence[Facts], user: str, source: str) -> Needs:
        return engine.needs(hosts, facts, user, source)

    def set_up(self) -> Iterator[str]:
        return setup.set_up(self._swarm.ctx, self._hosts, self._stack, not self._absent)

    def secrets(self) -> dict[str, list[str]]:
        return self._swarm.secrets(self._stack)

    def set_secret(self, name: str, value: str) -> str:
        return self._swarm.set_secret(self._stack, name, value)

    def read_secrets(self, image: str) -> dict[str, str]:
        newest = {key: versions[0] for key, versions in self.secrets().items()}
        return secret_reader.read(self._swarm, self._hosts, self._stack, image, newest)

    def remove_secret(self, name: str) -> None:
        self._swarm.run("secret", "rm", *self.secrets()[name])

    def render(self, config: Mapping[str, Any], image: str, secrets: Mapping[str, str]) -> Stack:
        return rendering.render(config, self._stack, image, secrets)

    def rollout(self, stack: Stack, back: bool = False, prune: bool = True) -> SwarmRollout:
        return SwarmRollout(self._swarm, stack, back, prune)

    def run_jobs(
        self, stack: Stack, jobs_: Sequence[Job], timeout: float, guard: Guard, answer: str = ""
    ) -> str:
        return jobs.run(self._swarm, stack, jobs_, timeout, guard, answer)

    def clear_jobs(self) -> None:
        jobs.clear(self._swarm, self._stack)

    def remove_services(self, names: Sequence[str]) -> None:
        self._swarm.remove_services([f"{self._stack}_{name}" for name in names])

    def tidy(self, used: Collection[str]) -> None:
        self._swarm.tidy(self._stack, used)

    def tidy_images(self, repository: str, keep: Collection[str]) -> list[str]:
        return servers.tidy_images(self._swarm, self._hosts, repository, keep)

    def remove(self, volumes: bool) -> list[str]:
        jobs.clear(self._swarm, self._stack)
        return teardown.remove(self._swarm, self._hosts, self._stack, volumes)
