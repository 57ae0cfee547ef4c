"""Serves what the server beside it counts, and the state of this container, at the port METRICS.

Usage: python -m appmetrics.serve ROLE. It ends when the server does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import AF_UNIX, socket

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from . import RELEASE, slots

# Where the kernel says what this container uses, and which of its sockets listen.
CGROUP, SOCKETS = Path("/sys/fs/cgroup"), (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
# What is used, the limit, and what happened: with control groups of version 2, and of version 1.
MEMORY = (
    ("memory.current", "memory.max", "memory.events"),
    ("memory/memory.usage_in_bytes", "memory/memory.limit_in_bytes", "memory/memory.oom_control"),
)
ENDLESS = 1 << 60
WEB_PORT, LISTEN = int(os.environ.get("WEB_PORT") or 8000), "0A"
# Seconds: what an earlier run of this role may keep the port for; how old what is read may be.
RETRY, FRESH = 30, 60


class State:
    """What no counter of the server's says."""

    def __init__(self, role: str) -> None:
        self.role, self.began = role, time.time()

    def describe(self) -> list[Metric]:
        """Return nothing: what there is depends on the role."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the state of this container now."""
        # What a worker that has ended was busy with is not going on.
        list(slots.left())
        info = GaugeMetricFamily("app_info", "The release that runs", labels=["role", "release"])
        info.add_metric([self.role, RELEASE], 1)
        yield info
        began = GaugeMetricFamily("app_start_time_seconds", "When it began", labels=["release"])
        began.add_metric([RELEASE], self.began)
        yield began
        if wanted := os.environ.get("METRICS_REPLICAS"):
            about = "How many replicas of this service there are to be"
            yield GaugeMetricFamily("app_replicas_wanted", about, int(wanted))
        yield from memory()
        if self.role == "web":
            yield GaugeMetricFamily("app_server_queue", "Connections that wait", queue(WEB_PORT))
            yield from uwsgi(slots.folder() / "uwsgi.stats")
        yield from waiting(slots.folder() / "queues.json")


def memory(folder: Path = CGROUP) -> Iterator[Metric]:
    """Yield what memory this container has, and how often that was too little."""
    found = next((names for names in MEMORY if (folder / names[0]).exists()), None)
    for name, file in zip(("bytes", "limit_bytes"), found or (), strict=False):
        # Without a limit it is a word or, in version 1, a number beyond any memory.
        with suppress(OSError, ValueError):
            if (value := int((folder / file).read_text())) < ENDLESS:
                yield GaugeMetricFamily(f"app_memory_{name}", "Memory of this container", value)
    with suppress(OSError, ValueError, KeyError):
        lines = (folder / found[2]).read_text().splitlines() if found else []
        kills = int(dict(line.split() for line in lines)["oom_kill"])
        yield CounterMetricFamily("app_memory_kills", "Processes that were killed", kills)


def queue(port: int) -> int:
    """Return how many connections a listening port has that no process has accepted yet."""
    found = 0
    for path in SOCKETS:
        with suppress(OSError):
            for line in path.read_text().splitlines()[1:]:
                _, address, _, state, sizes, *_ = line.split()
                if state == LISTEN and int(address.rpartition(":")[2], 16) == port:
                    found += int(sizes.rpartition(":")[2], 16)
    return found


def uwsgi(path: Path) -> Iterator[Metric]:
    """Yield how many requests uWSGI can answer at a time, and how many it does; see docker/web."""
    with suppress(OSError, ValueError, KeyError), socket(AF_UNIX) as asked:
        asked.settimeout(2)
        asked.connect(str(path))
        workers = json.load(asked.makefile())["workers"]
        cores = [core for each in workers for core in each["cores"]]
        busy = sum(core["in_request"] for core in cores)
        yield GaugeMetricFamily("app_requests_in_progress", "Requests that run", busy)
        yield GaugeMetricFamily("app_server_threads", "Requests at a time", len(cores))


def waiting(file: Path) -> Iterator[Metric]:
    """Yield what queues.py has written; nothing if it does not write any more."""
    with suppress(OSError, ValueError):
        if time.time() - file.stat().st_mtime > FRESH:
            return
        found = json.loads(file.read_text())
        yield GaugeMetricFamily("app_broker_up", "Whether the broker answers", found["broker"])
        depths = GaugeMetricFamily("app_queue_jobs", "Jobs that wait", labels=["queue"])
        ages = GaugeMetricFamily("app_queue_oldest_seconds", "Its oldest job", labels=["queue"])
        for name, depth in found.get("depths", {}).items():
            depths.add_metric([name], depth)
        for name, at in found.get("sent", {}).items():
            if at or not found["depths"][name]:
                ages.add_metric([name], max(time.time() - at, 0) if at else 0)
        yield from (depths, ages)
        if found.get("beat") is not None:
            yield GaugeMetricFamily("app_beat_up", "Whether a beat sends jobs", found["beat"])


def main(role: str) -> None:
    """Serve until the server that runs beside this ends."""
    server = os.getppid()
    # The app comes first.
    os.nice(5)
    registry = CollectorRegistry()
    registry.register(State(role))
    MultiProcessCollector(registry, path=str(slots.folder()))
    end = time.monotonic() + RETRY
    while True:
        try:
            start_http_server(int(os.environ["METRICS"]), registry=registry)
            break
        except OSError as error:
            if time.monotonic() > end:
                sys.exit(f"metrics: port {os.environ['METRICS']}: {error}")
            time.sleep(1)
    while os.getppid() == server:
        time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1])
