"""What the pods of services logged, and what they log from now on."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from queue import Empty, Queue
from typing import Any

from ... import console
from ...errors import ExitCode, TaskError
from ...kubernetes.client import Cluster
from ..base import LogOptions
from . import naming
from .units import seconds

# Seconds between two looks for new pods.
POLL = 2
# How many lines may wait to be read.
AHEAD = 1000
DURATION = re.compile(r"(\d+(h|m|s))+")


def read(
    cluster: Cluster, stack: str, services: Sequence[str], options: LogOptions
) -> Iterator[str]:
    """Yield what services logged; with `follow`, go on until Ctrl-C."""
    params = {**({"tailLines": str(options.tail)} if options.tail else {}), **since(options.since)}
    if options.follow:
        yield from _follow(cluster, stack, services, params)
    missing = []
    for pod, service in _pods(cluster, stack, services):
        try:
            for line in cluster.log(pod, service, **params):
                yield f"{pod} | {line}"
        except TaskError:
            missing.append(pod)
    if missing:
        console.warn(f"lines are missing, of {', '.join(missing)} - see inv status")


def _pods(cluster: Cluster, stack: str, services: Sequence[str]) -> list[tuple[str, str]]:
    """Return the names of the pods of services, each with its service's."""
    found = cluster.list("Pod", {**naming.labels(stack), naming.SERVICE: None})
    named = [(each["metadata"]["name"], each["metadata"]["labels"]) for each in found]
    return sorted(
        (name, labels[naming.SERVICE])
        for name, labels in named
        if labels[naming.SERVICE] in services
    )


def _follow(
    cluster: Cluster, stack: str, services: Sequence[str], params: dict[str, Any]
) -> Iterator[str]:
    """Follow each pod, also those that come later, from their first line on."""
    found, known, later = Queue[str](AHEAD), set[str](), False

    def follow(pod: str, service: str, params: dict[str, Any]) -> None:
        for line in cluster.follow(pod, service, **params):
            found.put(f"{pod} | {line}")

    while True:
        for pod, service in _pods(cluster, stack, services):
            if pod not in known:
                words = (pod, service, params if not later else {})
                threading.Thread(target=follow, args=words, daemon=True).start()
                known.add(pod)
        later, end = True, time.monotonic() + POLL
        with suppress(Empty):
            while (left := end - time.monotonic()) > 0:
                yield found.get(timeout=left)


def since(text: str) -> dict[str, str]:
    """Return how a cluster is asked for lines since a time, or since some time ago.

    Raises TaskError for what is neither.
    """
    if not text:
        return {}
    if DURATION.fullmatch(text):
        return {"sinceSeconds": str(seconds(text))}
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except ValueError:
        hint = "use 10m, or 2026-01-31T12:00:00"
        raise TaskError(f"--since={text} is no time", hint, ExitCode.REFUSED) from None
    return {"sinceTime": moment.isoformat(timespec="seconds")}
