"""What one Prometheus needs that watches 20 environments on 10 servers: memory, disk, a processor.

It runs as `inv monitor.up` configures it, but asks and looks at its rules so many times as often,
and its targets answer what real ones did. So it sees in minutes what else takes hours.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench import targets
from bench.metrics import used
from bench.replay import Recorded, replaying
from bench.table import Row
from bench.watched import ENVIRONMENTS, INTERVAL, SERVERS, SPEED, Watched
from tasks.lib.deploys import measured
from tests.testbed import prometheus
from tests.testbed.commands import free_port, page
from tests.testbed.prometheus import Prometheus
from tests.testbed.scratch import Scratch

DAYS = 15
# Rounds that are recorded; seconds that Prometheus runs, which are as an hour.
ROUNDS, SPAN = 30, 240
# The data of how many hours is in the log before it is a block; how many of those a day has.
HEAD, BLOCKS = 3, 12
# What of all scrapes must be answered in time for figures that say anything.
ANSWERED = 0.95
# The series that Prometheus has in memory.
HELD = re.compile(r"^prometheus_tsdb_head_series (\S+)$", re.M)
MB = 1 << 20


def measure(scratch: Scratch) -> list[Row]:
    """Record what real targets answer, and let Prometheus ask so many of them.

    Raises RuntimeError if a package lacks, or if the machine is too busy.
    """
    if lacking := targets.missing():
        raise RuntimeError(f"Debian's packages are missing: apt-get install {' '.join(lacking)}")
    folder = scratch.folder / "monitoring"
    folder.mkdir()
    recorded = {name: Recorded(each) for name, each in targets.record(folder, ROUNDS).items()}
    watched = Watched(folder, free_port())
    with replaying(recorded, watched.kinds(), watched.port):
        return rows(watched)


def rows(watched: Watched) -> list[Row]:
    """Run it, deploy each environment once meanwhile; kill it, and start it again."""
    options = [f"--storage.tsdb.retention.time={DAYS}d", "--web.enable-admin-api"]
    data = watched.folder / "data"
    with prometheus.running(watched.folder, watched.settings(0), *options) as one:
        one.ready()
        before = used([one.pid])
        memory = [*watch(one, SPAN / 2)]
        series = held(one)
        prometheus.configure(watched.folder, watched.settings(1), one.port)
        os.kill(one.pid, signal.SIGHUP)
        memory += watch(one, SPAN / 2)
        busy = (used([one.pid]) - before) / SPAN / SPEED
        (up,) = one.ask(f"avg(avg_over_time(up[{SPAN}s]))")
        head, (each, index) = held(one), snapshot(one, data)
    if (answered := float(up["value"][1])) < ANSWERED:
        what = f"only {answered:.0%} of all scrapes were answered in time"
        raise RuntimeError(f"{what}: let this machine rest")
    with prometheus.running(watched.folder, watched.settings(1), *options) as one:
        again = max(watch(one, SPAN / 8))
    day = (series / INTERVAL * 86400 * each + index * BLOCKS) / MB
    whole = day * DAYS + space(data / "wal", data / "chunks_head") * HEAD / MB
    room = {key: float(text.rstrip("MB")) for key, text in measured.room(ENVIRONMENTS).items()}
    most, largest = room["METRICS_MEMORY"], room["METRICS_SIZE"]
    note = f"{head:.0f} series, with a deploy of each environment"
    return [
        Row(f"series of {ENVIRONMENTS} environments and {SERVERS} servers", series, unit=""),
        Row("samples in a second", series / INTERVAL, unit=""),
        Row("memory, the most at once", max(memory), limit=most, unit="MB", note=note),
        Row("memory, when it is started after it was killed", again, limit=most, unit="MB"),
        Row("processor time, of one core", busy * 100, unit="%"),
        Row("disk for a day", day, unit="MB", note=f"{each:.3g} bytes a sample"),
        Row(f"disk for {DAYS} days", whole, limit=largest, unit="MB"),
    ]


def watch(one: Prometheus, seconds: float) -> Iterator[float]:
    """Yield what memory Prometheus has, again and again, in MB; look at its page now and then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(20):
            status = Path(f"/proc/{one.pid}/status").read_text()
            yield int(re.findall(r"RssAnon:\s+(\d+)", status)[0]) / 1024
            time.sleep(0.1)
        one.page()


def held(one: Prometheus) -> float:
    """Return how many series it has in memory."""
    return float(HELD.findall(page(f"{one.url}/metrics"))[0])


def snapshot(one: Prometheus, data: Path) -> tuple[float, float]:
    """Let Prometheus write all as blocks; return the bytes of a sample there, and of the index."""
    asked = urllib.request.Request(f"{one.url}/api/v1/admin/tsdb/snapshot", method="POST")
    with urllib.request.urlopen(asked, timeout=120) as answer:
        place = data / "snapshots" / json.load(answer)["data"]["name"]
    found = [json.loads(file.read_text()) for file in place.glob("*/meta.json")]
    chunks = space(*place.glob("*/chunks"))
    return chunks / sum(each["stats"]["numSamples"] for each in found), space(place) - chunks


def space(*folders: Path) -> int:
    """Return the size of all files below some folders, in bytes."""
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files)
