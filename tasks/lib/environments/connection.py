"""A connection to an environment: its servers, orchestrator, lock, history and registry."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from invoke import Context

from .. import console
from ..errors import refusing
from ..images.login import docker_config
from ..orchestrators.base import Orchestrator
from ..orchestrators.kinds import KINDS, reach_cluster
from ..orchestrators.status import Store
from ..project import names
from ..project.settings import ROOT, Environment, Settings, read_settings
from ..registry import credentials
from ..registry.client import Registry
from ..registry.client import connect as connect_registry
from ..ssh import host
from . import audit, dynamic, lock, waiting
from .history import History
from .host_store import HostStore


@dataclass
class Target:
    """An environment that tasks are connected to; its hosts are the servers that answer.

    Args:
        verify_url: a deploy checks the site at its address; False: on its server.
        wait: for how many seconds its lock is waited for.
    """

    ctx: Context
    settings: Settings
    name: str
    environment: Environment
    hosts: list[host.Host]
    orchestrator: Orchestrator
    registry: Registry
    hooks: Path = ROOT / "hooks"
    terms: lock.Terms = lock.TERMS
    verify_url: bool = True
    wait: float = 0

    def __post_init__(self) -> None:
        self.verify_url = self.verify_url and self.environment.public

    @property
    def stack(self) -> str:
        """The stack's name."""
        return names.stack_name(self.settings.project.name, self.name)

    @property
    def path(self) -> str:
        """The environment's folder on its first server."""
        return f"{self.settings.deploy.path}/{names.short(self.name)}"

    @property
    def url(self) -> str:
        """The environment's address, without a slash at its end."""
        return self.environment.url.rstrip("/")

    def confirm(self, question: str, yes: bool, name: str, refused: str) -> None:
        """Ask before data is lost; see console.confirm, or confirm_name if it is protected."""
        if self.environment.protected:
            return console.confirm_name(question, self.name, name, refused)
        return console.confirm(question, yes, refused)

    @contextmanager
    def locked(self, doing: str, what: str = "", why: str = "") -> Iterator[lock.Lock]:
        """Hold the stack's lock, and note in the audit log what is done; see waiting.locked.

        Args:
            what: what it is done to, for the log.
            why: the reason for which it is forced, for the log.
        """
        with (
            waiting.locked(self.orchestrator, doing, self.terms, self.wait) as held,
            audit.noted(self, doing, what, why),
        ):
            yield held

    def holder(self, expired: bool = False) -> lock.Holder | None:
        """Return who holds the lock and what for; see lock.holder."""
        return lock.holder(self.orchestrator, self.terms, expired)

    def unlock(self) -> None:
        """Remove the lock by force; the audit log has whose it was."""
        with audit.noted(self, "removes the lock of", str(self.holder(expired=True) or "")):
            lock.unlock(self.orchestrator)

    @cached_property
    def store(self) -> Store:
        """What keeps the records: the orchestrator, or the first server."""
        return self.orchestrator.records() or HostStore(self.hosts[0], self.path)

    @cached_property
    def history(self) -> History:
        """The environment's finished deploys."""
        return History(self.store)


@contextmanager
def reach(
    ctx: Context,
    name: str,
    given: Settings | None = None,
    env: Mapping[str, str] = os.environ,
    verify_url: bool = True,
    wait: str = "",
) -> Iterator[Target]:
    """Connect to an environment. Raises TaskError, before anything is changed, when that fails.

    Args:
        given: settings other than those of this run.
        verify_url: False if this machine cannot reach the site.
        wait: for how long its lock is waited for, as --wait has it.
    """
    seconds = waiting.duration(wait)
    settings = given or read_settings(ctx)
    environment = dynamic.addressed(settings.environment(name), name)
    stack = names.stack_name(settings.project.name, name)
    with ExitStack() as connections:
        with refusing():
            registry = connect_registry(ctx, settings)
            hosts = connections.enter_context(host.connected(ctx, environment.servers, env))
            setup = f"inv server.setup --env={name}"
            if environment.servers:
                there = _on_servers(ctx, environment, stack, hosts, registry, setup)
            else:
                login = credentials.find(registry.image.host, env, lasting=True)
                auth = login.header if login else ""
                there = reach_cluster(ctx, environment, stack, auth, setup, env)
            orchestrator = connections.enter_context(there)
            environment = dynamic.assign_ports(environment, orchestrator, stack)
        known = ctx, settings, name, environment, hosts, orchestrator, registry
        yield Target(*known, verify_url=verify_url, wait=seconds)


@contextmanager
def _on_servers(
    ctx: Context,
    environment: Environment,
    stack: str,
    hosts: list[host.Host],
    registry: Registry,
    setup: str,
) -> Iterator[Orchestrator]:
    """Give what runs the containers of an environment on servers with Docker."""
    with docker_config(registry.login) as config:
        docker, absent = {**hosts[0].docker(), **config}, len(environment.hosts) - len(hosts)
        yield KINDS[environment.orchestrator](ctx, hosts, stack, docker, setup, absent)
