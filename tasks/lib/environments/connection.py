"""An environment that was reached: its servers, its Swarm, its history, its registry."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import refusing
from ..images import login
from ..orchestrators.swarm.client import Swarm
from ..project.settings import Environment, Settings
from ..registry.client import Registry, connect
from ..ssh import host
from . import dynamic
from .history import Releases

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

    @cached_property
    def releases(self) -> Releases:
        """What was released before."""
        return Releases(self.first, self.path)

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
    """Connect to an environment. Raises Failed, before anything is changed, when that fails."""
    environment = settings.environment(name)
    with ExitStack() as stack:
        with refusing():
            place = connect(ctx, settings)
            hosts = stack.enter_context(host.connected(ctx, environment.hosts, env))
            config = stack.enter_context(login.lent(place.login))
            there = stack.enter_context(hosts[0].docker())
        swarm = Swarm(ctx, {**there, **config})
        made = Target(ctx, settings, name, environment, hosts, swarm, place)
        with refusing():
            made.environment = dynamic.settled(environment, swarm, made.stack)
        yield made
