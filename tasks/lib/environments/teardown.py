"""An environment made ready that is new, and removed when nobody needs it any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .. import console
from ..deploys.preflight import ELSEWHERE
from ..errors import TaskError, explain
from ..orchestrators.swarm import jobs
from ..orchestrators.swarm.client import STACK, Swarm
from . import bootstrap, secret_values

if TYPE_CHECKING:
    from .connection import Target

# Seconds until all of a stack's containers must have stopped and its network is gone.
TIMEOUT = 120
POLL = 0.3


def make_ready(target: Target) -> None:
    """Make a site's servers ready, and make up the secrets that it has not."""
    for line in bootstrap.setup(target):
        console.say(line)
    known = target.swarm.secrets(target.stack)
    for name in target.settings.deploy.secrets:
        if name not in known and name != ELSEWHERE:
            target.swarm.set_secret(target.stack, name, secret_values.random())


def remove(target: Target, volumes: bool) -> None:
    """Remove a stack and its folder from the servers.

    Args:
        volumes: its data too, and the secrets that they were made with.
    """
    own = ["--quiet", "--filter", f"label={STACK}={target.stack}"]
    jobs.clear(target.swarm, target.stack)
    console.step(f"stopping {target.stack}")
    target.swarm.remove_services(target.swarm.query("service", "ls", *own).split())
    _stopped(target, own)
    for kind in ("network", "config", *(["secret"] if volumes else [])):
        for name in target.swarm.query(kind, "ls", *own).split():
            _removed(target, target.swarm, kind, name)
    if volumes:
        _volumes(target)
    for node in target.swarm.nodes():
        if target.stack in node["Spec"].get("Labels", {}):
            target.swarm.run("node", "update", "--label-rm", target.stack, node["ID"])
    target.first.run('rm -rf -- "$1"', target.path)


def _stopped(target: Target, own: list[str]) -> None:
    """Wait until no server has a container of the stack any more: one may finish what it began."""
    deadline = time.monotonic() + TIMEOUT
    for host in target.hosts:
        with host.docker() as env:
            swarm = Swarm(target.ctx, env)
            while swarm.query("ps", *own) and not target.ctx.config.run.dry:
                if time.monotonic() > deadline:
                    what = f"containers of {target.stack} still run on {host.name}"
                    raise TaskError(what, f"see inv status --env={target.name}, then again")
                time.sleep(POLL)


def _volumes(target: Target) -> None:
    """Delete the stack's volumes on every server."""
    for host in target.hosts:
        with host.docker() as env:
            swarm = Swarm(target.ctx, env)
            listed = swarm.query("volume", "ls", "--quiet", "--filter", f"name={target.stack}_")
            for name in listed.split():
                if name.startswith(f"{target.stack}_"):
                    _removed(target, swarm, "volume", name)


def _removed(target: Target, swarm: Swarm, kind: str, name: str) -> None:
    """Remove something that a container may still use for a while."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            swarm.run(kind, "rm", name)
            return
        except Exception as error:
            if "no such" in str(getattr(error, "stderr", "")).lower():
                return
            if time.monotonic() > deadline:
                what = f"{kind} {name} cannot be removed: {explain(error)}"
                raise TaskError(what, f"see inv status --env={target.name}, then again") from None
        time.sleep(POLL)
