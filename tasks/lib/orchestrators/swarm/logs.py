"""What the services of a stack logged, with a word on the lines that are missing."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from subprocess import PIPE, STDOUT
from typing import Any

from ... import console, process
from ...docker import cli
from ...errors import TaskError
from ..base import LogOptions
from . import tasks
from .client import Swarm

# Seconds for which no line may come, unless they are followed: docker waits for ever for a node
# that does not answer.
SILENCE = 30


def read(swarm: Swarm, stack: str, names: Sequence[str], options: LogOptions) -> Iterator[str]:
    """Yield what services logged, interleaved. Raises TaskError when the logs cannot be read."""
    words = ["service", "logs", "--tail", str(options.tail or "all")]
    words += ["--follow"] if options.follow else []
    words += ["--since", options.since] if options.since else []
    start = partial(cli.popen, swarm.ctx, *words, env=swarm.env, stdout=PIPE, stderr=STDOUT)
    children = [start(f"{stack}_{name}") for name in names]
    found = process.lines(children, None if options.follow else SILENCE)
    try:
        failed = yield from _logged(found, stack)
    except TimeoutError as silent:
        console.warn(f"lines may be missing: {silent} - see inv status")
        return
    if failed:
        known = swarm.services(stack)
        _explain_gaps(swarm, [known[name] for name in names if name in known])


def _logged(lines: Generator[str, None, int], stack: str) -> Generator[str, None, int]:
    """Yield the lines of replicas, say those that are docker's own; return the exit status.

    Docker writes what a replica wrote to stderr there, too, beside its own errors.
    """
    with closing(lines):
        while True:
            try:
                line = next(lines)
            except StopIteration as end:
                return int(end.value)
            if line.startswith(f"{stack}_") and " | " in line:
                yield line
            else:
                console.say(line)


def _explain_gaps(swarm: Swarm, services: Sequence[Mapping[str, Any]]) -> None:
    """Warn of servers that are away, whose lines are missing. Raises TaskError if none is."""
    nodes = {node["ID"]: node for node in swarm.nodes()}
    used = {task.get("NodeID") or "" for task in tasks.inspect(swarm, services)} - {""}
    away = sorted(
        nodes[node]["Description"]["Hostname"] if node in nodes else "one that left the Swarm"
        for node in used
        if node not in nodes or nodes[node]["Status"]["State"] != "ready"
    )
    if not away:
        raise TaskError("the logs cannot be read", "the lines above say why")
    console.warn(f"lines are missing, of servers that are away: {', '.join(away)} - see inv status")
