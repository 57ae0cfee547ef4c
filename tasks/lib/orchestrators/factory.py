"""Chooses the orchestrator that an environment names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from invoke import Context

from ..ssh.host import Host
from .base import Orchestrator


def connect(
    kind: str, ctx: Context, hosts: Sequence[Host], stack: str, env: Mapping[str, str], setup: str
) -> Orchestrator:
    """Return the orchestrator of an environment.

    Args:
        kind: its name in invoke.yaml, such as "swarm".
        hosts: the servers that answer.
        stack: the name of the environment's stack.
        env: the variables that let docker reach the first host, and log in to the registry.
        setup: the command that sets the servers up, for messages.
    """
    from .swarm.orchestrator import SwarmOrchestrator

    return {"swarm": SwarmOrchestrator}[kind](ctx, hosts, stack, env, setup)
