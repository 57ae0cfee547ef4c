"""An environment that was reached: its servers, its Swarm, its history, its registry."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import refusing
from ..images import login
from ..orchestrators.swarm.client import Swarm
from ..project.settings import Environment, Settings
from ..registry.client import Registry, connect
from ..ssh import host
from . import dynamic, lock
from .history import History

if TYPE_CHECKING:
    from invoke import Context


@dataclass
class Target:
    """What deploys to an environment go to.

    Args:
        name: the environment's.
        hosts: its servers that answer; the first manages the Swarm and keeps lock and releases.
        swarm: asked through the first.
    """

    ctx: Context
    settings: Settings
    name: str
    environment: Environment
    hosts: list[host.Host]
    swarm: Swarm
    registry: Registry

    @property
    def stack(self) -> str:
        """The stack's name."""
        return f"{self.settings.project.name}-{dynamic.short(self.name)}"

    @property
    def path(self) -> str:
        """The environment's folder on its first server."""
        return f"{self.settings.deploy.path}/{dynamic.short(self.name)}"

    @property
    def first(self) -> host.Host:
        """The server that keeps lock and releases."""
        return self.hosts[0]

    def locked(self, doing: str) -> AbstractContextManager[lock.Lock]:
        """Hold the environment's lock while something is done; see lock.locked."""
        return lock.locked(self.first, self.path, doing)

    def holder(self) -> str:
        """Who holds the lock and what for; empty when it is free."""
        return lock.holder(self.first, self.path)

    def unlock(self) -> None:
        """Remove the lock, whoever holds it."""
        lock.unlock(self.first, self.path)

    @cached_property
    def releases(self) -> History:
        """What was released before."""
        return History(self.first, self.path)

    @cached_property
    def places(self) -> dict[str, tuple[str, host.Host]]:
        """By the ID of a node: its host's name, and the host."""
        found = {}
        for each in self.hosts:
            with each.docker() as env:
                info: dict[str, Any] = Swarm(self.ctx, env).info()
            found[info["Swarm"]["NodeID"]] = (each.name, each)
        return found


@contextmanager
def reach(
    ctx: Context, settings: Settings, name: str, env: Mapping[str, str] = os.environ
) -> Iterator[Target]:
    """Connect to an environment. Raises TaskError, before anything is changed, when that fails."""
    environment = settings.environment(name)
    with ExitStack() as stack:
        with refusing():
            registry = connect(ctx, settings)
            hosts = stack.enter_context(host.connected(ctx, environment.hosts, env))
            config = stack.enter_context(login.docker_config(registry.login))
            tunnel = stack.enter_context(hosts[0].docker())
        swarm = Swarm(ctx, {**tunnel, **config})
        made = Target(ctx, settings, name, environment, hosts, swarm, registry)
        with refusing():
            made.environment = dynamic.assign_ports(environment, swarm, made.stack)
        yield made
