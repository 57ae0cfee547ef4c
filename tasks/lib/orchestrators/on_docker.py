"""What the orchestrators on Docker do alike; base.Orchestrator says what each method promises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Self

from invoke import Context

from ..ssh.host import Host
from . import jobs, servers
from .base import Guard, Job
from .engine import Engine
from .leases import Leases
from .locking import Leased
from .stack import Stack
from .status import Store, Stored, Volume


class DockerOrchestrator(Leased):
    """One stack on servers with Docker.

    Args:
        hosts: the servers that answer; docker asks the first.
        env: the variables that let docker reach the first host, and log in to the registry.
        setup: the command that sets the servers up, for messages.
        absent: how many of the environment's servers do not answer.
    """

    poll = 0.3
    # The kinds of object that a lease of the lock is, and a version of a secret.
    leases, secret = "", ""
    # What renders a stack; see rendering.rendered.
    rendered: Callable[[Mapping[str, Any], str, str, Mapping[str, str]], Stack]

    def __init__(
        self,
        ctx: Context,
        hosts: Sequence[Host],
        stack: str,
        env: Mapping[str, str],
        setup: str,
        absent: int = 0,
    ) -> None:
        self._ctx, self._hosts, self._stack, self._env = ctx, hosts, stack, env
        self._setup, self._absent = setup, absent
        self._leases = Leases(Engine(ctx, env), stack, self.leases)
        self._queue = Leases(Engine(ctx, env), f"{stack}.queue", self.leases)

    def beside(self, stack: str) -> Self:
        known = self._ctx, self._hosts, stack, self._env, self._setup, self._absent
        return type(self)(*known)

    def render(self, config: Mapping[str, Any], image: str, secrets: Mapping[str, str]) -> Stack:
        return type(self).rendered(config, self._stack, image, secrets)

    def remove_secret(self, name: str) -> None:
        Engine(self._ctx, self._env).run(self.secret, "rm", *self.secrets()[name])

    def manifests(self, stack: Stack) -> str:
        return stack.text()

    def misfits(self, stack: Stack, auth: str) -> list[str]:
        return servers.unpullable(self._ctx, self._hosts, stack.image, auth)

    def unmade(self) -> list[str]:
        return []

    def pull_login(self) -> str:
        return ""

    def records(self) -> Store | None:
        return None

    def missing(self, stack: Stack) -> list[str]:
        return [
            f"{kind} {name}"
            for kind in ("secret", "config")
            for name in sorted(stack.versions(f"{kind}s") - {*self.stored(kind)})
        ]

    @abstractmethod
    def stored(self, kind: str) -> list[str]:
        """Return the names of the versions that there are, of secrets or configs."""

    def stored_images(self, repository: str) -> list[Stored]:
        return servers.stored_images(self._ctx, self._hosts, repository)

    def volumes(self) -> list[Volume]:
        return servers.volumes(self._ctx, self._hosts, self._stack)

    def tidy_images(self, repository: str, keep: Collection[str]) -> list[str]:
        return servers.tidy_images(self._ctx, self._hosts, repository, keep)

    def try_out(self, service: Mapping[str, Any], command: Sequence[str]) -> None:
        servers.try_out(Engine(self._ctx, self._env), service, command)

    def run_jobs(
        self, stack: Stack, jobs_: Sequence[Job], timeout: float, guard: Guard, answer: str = ""
    ) -> str:
        return jobs.run(self.runner(stack, jobs_), jobs_, timeout, guard, answer)

    @abstractmethod
    def runner(self, stack: Stack, jobs_: Sequence[Job]) -> jobs.Runner:
        """Return what runs some jobs of a stack."""
