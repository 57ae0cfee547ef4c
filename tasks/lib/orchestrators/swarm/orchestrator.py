"""Docker Swarm as an orchestrator; base.Orchestrator says what each method promises."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from subprocess import Popen
from typing import Any, BinaryIO

from ...docker.cli import DockerError
from ...errors import ExitCode, TaskError
from ...provisioning.facts import Facts
from ...ssh.host import Host
from .. import replicas
from ..base import Job, LogOptions
from ..jobs import Runner
from ..needs import Needs
from ..on_docker import DockerOrchestrator
from ..stack import Stack
from ..status import Evidence, Failure, Lease, Node, Ports, Service
from . import (
    evidence,
    labels,
    logs,
    network,
    peers,
    ports,
    rendering,
    running,
    secret_reader,
    setup,
    tasks,
    teardown,
)
from .client import Swarm
from .jobs import SwarmJobs, clear
from .preflight import Preflight, not_manager
from .progress import node, observed
from .rollout import SwarmRollout


class SwarmOrchestrator(DockerOrchestrator):
    """One stack on a Swarm; the first host is a manager, through which the Swarm is asked."""

    leases, secret = "config", "secret"  # pragma: allowlist secret
    rendered = staticmethod(rendering.render)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._swarm = Swarm(self._ctx, self._env)

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
        found = network.problems(self._swarm, self._hosts, stack)
        return [*super().misfits(stack, auth), *found]

    def evidence(self, failure: Failure) -> Evidence:
        return evidence.collect(self._swarm, self._hosts, failure)

    def logs(self, services: Sequence[str], options: LogOptions) -> Iterator[str]:
        return logs.read(self._swarm, self._stack, services, options)

    def lease(self) -> Lease | None:
        try:
            return self._leases.newest()
        except DockerError:
            name = self._hosts[0].name
            if problem := not_manager(name, self._swarm.info(), self._setup):
                raise TaskError(problem, code=ExitCode.REFUSED) from None
            raise

    def inside(self, service: str, script: str) -> str | None:
        label = f"com.docker.swarm.service.name={self._stack}_{service}"
        return replicas.inside(self._swarm.ctx, self._hosts, label, script)

    def feed(self, service: str, script: str, write: Callable[[BinaryIO], None]) -> str | None:
        label = f"com.docker.swarm.service.name={self._stack}_{service}"
        return replicas.feed(self._swarm.ctx, self._hosts, label, script, write)

    def begin(self, service: str, script: str, **streams: Any) -> Popen[bytes] | None:
        label = f"com.docker.swarm.service.name={self._stack}_{service}"
        return replicas.begin(self._swarm.ctx, self._hosts, label, script, **streams)

    def address(self, service: str) -> str:
        return f"tasks.{self._stack}_{service}"

    @staticmethod
    def needs(hosts: Sequence[Host], facts: Sequence[Facts], user: str, source: str) -> Needs:
        return peers.needs(hosts, facts, user, source)

    def set_up(self) -> Iterator[str]:
        return setup.set_up(self._swarm.ctx, self._hosts, self._stack, not self._absent)

    def secrets(self) -> dict[str, list[str]]:
        return self._swarm.secrets(self._stack)

    def set_secret(self, name: str, value: str) -> str:
        return self._swarm.set_secret(self._stack, name, value)

    def read_secrets(self, image: str) -> dict[str, str]:
        newest = {key: versions[0] for key, versions in self.secrets().items()}
        return secret_reader.read(self._swarm, self._hosts, self._stack, image, newest)

    def stored(self, kind: str) -> list[str]:
        return self._swarm.names(kind)

    def runner(self, stack: Stack, jobs: Sequence[Job]) -> Runner:
        return SwarmJobs(self._swarm, stack, jobs)

    def rollout(self, stack: Stack, back: bool = False, prune: bool = True) -> SwarmRollout:
        return SwarmRollout(self._swarm, stack, back, prune)

    def clear_jobs(self) -> None:
        clear(self._swarm, self._stack)

    def remove_services(self, names: Sequence[str]) -> None:
        self._swarm.remove_services([f"{self._stack}_{name}" for name in names])

    def tidy(self, used: Collection[str]) -> None:
        self._swarm.tidy(self._stack, used)

    def tidy_images(self, repository: str, keep: Collection[str]) -> list[str]:
        kept = {*keep, *self._swarm.digests()}
        return super().tidy_images(repository, kept)

    def remove(self, volumes: bool) -> list[str]:
        clear(self._swarm, self._stack)
        return teardown.remove(self._swarm, self._hosts, self._stack, volumes)
