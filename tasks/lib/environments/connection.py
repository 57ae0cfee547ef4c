"""A connection to an environment: its servers, orchestrator, lock, history and registry."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from invoke import Context

from .. import console
from ..errors import refusing
from ..images import login
from ..orchestrators.base import Orchestrator
from ..orchestrators.kinds import KINDS
from ..project import names
from ..project.settings import ROOT, Environment, Settings, read_settings
from ..registry.client import Registry
from ..registry.client import connect as connect_registry
from ..ssh import host
from . import dynamic, lock
from .history import History
from .host_store import HostStore


@dataclass
class Target:
    """An environment that tasks are connected to; its hosts are the servers that answer.

    Args:
        verify_url: a deploy checks the site at its address; False: on its server.
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

    @property
    def first(self) -> host.Host:
        """The server that keeps the history."""
        return self.hosts[0]

    def confirm(self, question: str, yes: bool, name: str, refused: str) -> None:
        """Ask before data is lost; see console.confirm, or confirm_name if it is protected."""
        if self.environment.protected:
            return console.confirm_name(question, self.name, name, refused)
        return console.confirm(question, yes, refused)

    def locked(self, doing: str) -> AbstractContextManager[lock.Lock]:
        """Hold the stack's lock; see lock.locked."""
        return lock.locked(self.orchestrator, doing, self.terms)

    def holder(self, expired: bool = False) -> str:
        """Return who holds the lock and what for; see lock.holder."""
        return lock.holder(self.orchestrator, self.terms, expired)

    def unlock(self) -> None:
        """Remove the lock by force."""
        lock.unlock(self.orchestrator)

    @cached_property
    def history(self) -> History:
        """The environment's finished deploys."""
        store = self.orchestrator.records() or HostStore(self.first, self.path)
        return History(store)


@contextmanager
def reach(
    ctx: Context,
    name: str,
    given: Settings | None = None,
    env: Mapping[str, str] = os.environ,
    verify_url: bool = True,
) -> Iterator[Target]:
    """Connect to an environment. Raises TaskError, before anything is changed, when that fails.

    Args:
        given: settings other than those of this run.
        verify_url: False if this machine cannot reach the site.
    """
    settings = given or read_settings(ctx)
    environment = settings.environment(name)
    stack = names.stack_name(settings.project.name, name)
    with ExitStack() as connections:
        with refusing():
            registry = connect_registry(ctx, settings)
            hosts = connections.enter_context(host.connected(ctx, environment.hosts, env))
            config = connections.enter_context(login.docker_config(registry.login))
            docker = {**hosts[0].docker(), **config}
            setup = f"inv server.setup --env={name}"
            absent = len(environment.hosts) - len(hosts)
            orchestrator = KINDS[environment.orchestrator](ctx, hosts, stack, docker, setup, absent)
            environment = dynamic.assign_ports(environment, orchestrator, stack)
        known = ctx, settings, name, environment, hosts, orchestrator, registry
        yield Target(*known, verify_url=verify_url)
