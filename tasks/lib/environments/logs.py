"""What a person does with the app that runs in an environment: read its logs, give it a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import console, process
from ..deploys import predeploy
from ..docker import cli
from ..errors import ExitCode, TaskError
from ..orchestrators.swarm import jobs
from . import history

if TYPE_CHECKING:
    from .connection import Target


@dataclass(frozen=True)
class Lines:
    """Which lines of a log: whether to go on, how many of the last, since when."""

    follow: bool
    tail: int
    since: str


def logs(target: Target, service: str, wanted: Lines) -> None:
    """Show what the replicas of a service logged, or of all with the app's image, interleaved.

    Raises TaskError for a service that is not there.
    """
    known = target.swarm.services(target.stack)
    names = [service] if service else _ours(target, list(known))
    if not names or set(names) - set(known):
        what = f"{target.name} has no service {service!r}" if service else "nothing runs yet"
        raise TaskError(what, f"there are: {', '.join(sorted(known)) or 'none'}", ExitCode.REFUSED)
    options = ["--follow"] if wanted.follow else []
    options += ["--tail", str(wanted.tail)] + (["--since", wanted.since] if wanted.since else [])
    words, env = ("service", "logs", *options), target.swarm.env
    children = [cli.popen(target.ctx, *words, f"{target.stack}_{name}", env=env) for name in names]
    try:
        status = max([process.wait(child) for child in children])
    finally:
        for child in children:
            process.end(child)
    if status:
        _tell_gaps(target, [known[name] for name in names])


def _tell_gaps(target: Target, services: list[dict[str, Any]]) -> None:
    """Say of which servers lines are missing, as far as they are away; else it is a failure."""
    nodes = {each["ID"]: each for each in target.swarm.nodes()}
    used = {each.get("NodeID") or "" for each in target.swarm.tasks(services)} - {""}
    away = sorted(
        nodes[each]["Description"]["Hostname"] if each in nodes else "one that left the Swarm"
        for each in used
        if each not in nodes or nodes[each]["Status"]["State"] != "ready"
    )
    if not away:
        raise TaskError("the logs could not be read", "the lines above say why")
    console.warn(f"lines are missing, of servers that are away: {', '.join(away)}")


def _ours(target: Target, known: list[str]) -> list[str]:
    now = history.current(target.releases.read())
    return target.releases.stack(now, target.stack).ours if now else known


def manage(target: Target, command: list[str]) -> None:
    """Run a manage.py command in a one-off container of the image that runs.

    Raises TaskError when it fails.
    """
    now = history.current(target.releases.read())
    if now is None:
        raise TaskError("nothing runs yet", f"inv deploy --env={target.name}", ExitCode.REFUSED)
    stack = target.releases.stack(now, target.stack)
    with target.locked(f"runs manage.py {command[0]}") as lock:
        words = ["/app/docker/entrypoint", "manage", *command]
        job = stack.job("manage", predeploy.once_reached(stack, words, predeploy.WAITED))
        jobs.run(target.swarm, [job], target.settings.deploy.timeout, lock)
