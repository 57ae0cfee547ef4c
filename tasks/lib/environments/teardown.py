"""An environment made ready that is new, and removed when nobody needs it any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .. import console
from ..deploys.preflight import ELSEWHERE
from ..errors import Failed, explain
from ..orchestrators.swarm import jobs
from ..orchestrators.swarm.client import STACK, Swarm
from . import bootstrap, secret_values

if TYPE_CHECKING:
    from .connection import Target

# Seconds until all of a stack's containers must have stopped and its network is gone.
TIMEOUT = 120
POLL = 0.3


def make_ready(there: Target) -> None:
    """Make a site's servers ready, and make up the secrets that it has not."""
    for line in bootstrap.setup(there):
        console.say(line)
    known = there.swarm.secrets(there.stack)
    for name in there.settings.deploy.secrets:
        if name not in known and name != ELSEWHERE:
            there.swarm.set_secret(there.stack, name, secret_values.random())


def remove(there: Target, volumes: bool) -> None:
    """Remove a stack and its folder from the servers.

    Args:
        volumes: its data too, and the secrets that they were made with.
    """
    own = ["--quiet", "--filter", f"label={STACK}={there.stack}"]
    jobs.clear(there.swarm, there.stack)
    console.step(f"stopping {there.stack}")
    there.swarm.remove_services(there.swarm.look("service", "ls", *own).split())
    _stopped(there, own)
    for kind in ("network", "config", *(["secret"] if volumes else [])):
        for name in there.swarm.look(kind, "ls", *own).split():
            _removed(there, there.swarm, kind, name)
    if volumes:
        _volumes(there)
    for node in there.swarm.nodes():
        if there.stack in node["Spec"].get("Labels", {}):
            there.swarm.ask("node", "update", "--label-rm", there.stack, node["ID"])
    there.first.run('rm -rf -- "$1"', there.path)


def _stopped(there: Target, own: list[str]) -> None:
    """Wait until no server has a container of the stack any more: one may finish what it began."""
    deadline = time.monotonic() + TIMEOUT
    for host in there.hosts:
        with host.docker() as env:
            swarm = Swarm(there.ctx, env)
            while swarm.look("ps", *own) and not there.ctx.config.run.dry:
                if time.monotonic() > deadline:
                    what = f"containers of {there.stack} still run on {host.name}"
                    raise Failed(what, f"see inv status --env={there.name}, then again")
                time.sleep(POLL)


def _volumes(there: Target) -> None:
    """Delete the stack's volumes on every server."""
    for host in there.hosts:
        with host.docker() as env:
            swarm = Swarm(there.ctx, env)
            listed = swarm.look("volume", "ls", "--quiet", "--filter", f"name={there.stack}_")
            for name in listed.split():
                if name.startswith(f"{there.stack}_"):
                    _removed(there, swarm, "volume", name)


def _removed(there: Target, swarm: Swarm, kind: str, name: str) -> None:
    """Remove something that a container may still use for a while."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            swarm.ask(kind, "rm", name)
            return
        except Exception as error:
            if "no such" in str(getattr(error, "stderr", "")).lower():
                return
            if time.monotonic() > deadline:
                what = f"{kind} {name} cannot be removed: {explain(error)}"
                raise Failed(what, f"see inv status --env={there.name}, then again") from None
        time.sleep(POLL)
