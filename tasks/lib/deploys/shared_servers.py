"""The environments that share servers: one monitoring stack measures all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import msgspec
from invoke import Context

from ..environments import connection
from ..environments.connection import Target
from ..errors import ExitCode, TaskError
from ..project import names
from ..project.fields import MANY
from ..project.places import KUBERNETES, Environment
from ..project.settings import Settings, read_settings


def group(settings: Settings, name: str) -> dict[str, Environment]:
    """Return the environments that share servers with one, itself too, in the order of invoke.yaml.

    Dynamic ones are left out, as they come and go.
    """
    mine = settings.environment(name)
    if mine.orchestrator == KUBERNETES:
        hint = "use the cluster's own: docs/monitoring.md"
        what = f"{name} is on a cluster, where inv sets up no monitoring"
        raise TaskError(what, hint, ExitCode.REFUSED)
    if name.partition("/")[0] + MANY in settings.environments:
        what = f"{name} is a dynamic environment, and these are not measured"
        raise TaskError(what, "name another one", ExitCode.REFUSED)
    known = {k: each for k, each in settings.environments.items() if not k.endswith(MANY)}
    known = {k: each for k, each in known.items() if each.orchestrator == mine.orchestrator}
    hosts: set[str] = set()
    wider = {*mine.hosts}
    while wider != hosts:
        hosts = wider
        wider = hosts.union(*(each.hosts for each in known.values() if hosts & {*each.hosts}))
    return {k: each for k, each in known.items() if hosts & {*each.hosts}}


@contextmanager
def reach(ctx: Context, name: str, wait: str = "") -> Iterator[Target]:
    """Connect to the servers of an environment and of those that share some with it.

    The target's orchestrator runs the monitoring stack.
    """
    settings = read_settings(ctx)
    together = group(settings, name)
    if names.MONITORING in together:
        what = f"an environment is called {names.MONITORING}, as the stack of its monitoring"
        raise TaskError(what, "rename it in invoke.yaml", ExitCode.REFUSED)
    hosts = list(dict.fromkeys(host for each in together.values() for host in each.hosts))
    whole = msgspec.structs.replace(settings.environment(name), hosts=hosts)
    given = msgspec.structs.replace(settings, environments={**settings.environments, name: whole})
    with connection.reach(ctx, name, given, wait=wait) as target:
        yield replace(target, orchestrator=target.orchestrator.beside(stack_name(target)))


def stack_name(target: Target) -> str:
    """Return the name of the monitoring stack."""
    return names.stack_name(target.settings.project.name, names.MONITORING)
