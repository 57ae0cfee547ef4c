"""What is asked of a service's replicas, on whichever server they are."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from invoke import Context

from ..docker import cli
from ..ssh.host import Host
from .engine import Engine


def inside(ctx: Context, hosts: Sequence[Host], label: str, script: str) -> str | None:
    """Return what a script prints in a replica with a label; see base.Orchestrator.inside."""
    for host in hosts:
        with suppress(cli.DockerError):
            engine = Engine(ctx, host.docker())
            if replicas := engine.ids("container", f"label={label}", "status=running"):
                return engine.query("exec", replicas[0], "sh", "-c", script)
    return None


def feed(
    ctx: Context, hosts: Sequence[Host], label: str, script: str, write: Callable[[BinaryIO], None]
) -> str | None:
    """Run a script in a replica with a label, and write its stdin; see base.Orchestrator.feed."""
    for engine, replica in _replicas(ctx, hosts, label):
        words = ("exec", "--interactive", replica, "sh", "-c", script)
        return cli.feed(ctx, *words, write=write, env=engine.env)
    return None


def begin(
    ctx: Context, hosts: Sequence[Host], label: str, script: str, **streams: Any
) -> subprocess.Popen[bytes] | None:
    """Start a script in a replica with a label; see base.Orchestrator.begin."""
    for engine, replica in _replicas(ctx, hosts, label):
        words = ("exec", "--interactive", replica, "sh", "-c", script)
        return cli.popen(ctx, *words, env=engine.env, **streams)
    return None


def _replicas(ctx: Context, hosts: Sequence[Host], label: str) -> Iterator[tuple[Engine, str]]:
    """Yield the replicas with a label that run, each with its server's engine."""
    for host in hosts:
        engine = Engine(ctx, host.docker())
        for replica in engine.ids("container", f"label={label}", "status=running"):
            yield engine, replica
