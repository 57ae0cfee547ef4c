"""What metrics cost the app: of the processor time of a request, of a scrape, and of its rate."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.table import Row
from bench.visitors import SETTINGS, Visitors, variables
from bench.watched import INTERVAL
from tests.testbed.commands import output
from tests.testbed.k6 import Referee
from tests.testbed.measured import PYTHON, Served, environment, served
from tests.testbed.scratch import Scratch

SCRAPES, LIMIT = 20, 1.01
# How often Prometheus scrapes while k6 asks, and the least of the rate that metrics leave.
LASTS, LEAST = 6, 0.99
# How many views have series of their own at most, and how often each is asked: by all processes.
VIEWS, EACH = 300, 4
# What uWSGI loads: the app with metrics and without.
TWOFOLD = "bench.twofold:application"
# Both in one process, in short turns, and the best of each: what else the machine does only ever
# adds to it. It prints the microseconds of a request with metrics, and without.
ASK = """
import io, sys, time
from bench.twofold import counted, plain
request = {
    "REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80",
    "wsgi.url_scheme": "http", "wsgi.errors": sys.stderr, "REMOTE_ADDR": "127.0.0.1",
}
def ask(handler, times=20):
    began = time.process_time()
    for _ in range(times):
        answer = handler({**request, "wsgi.input": io.BytesIO()}, lambda status, _: None)
        if answer.status_code != 200:
            sys.exit(f"the home page answers {answer.status_code}")
        answer.close()
    return (time.process_time() - began) / times * 1e6
handlers, taken = (counted, plain), ([], [])
for turn in range(400):
    for side in (0, 1) if turn % 2 else (1, 0):
        taken[side].append(ask(handlers[side]))
print(*map(min, taken), file=sys.stderr)
"""


def measure(scratch: Scratch) -> list[Row]:
    """The home page with metrics and without, a scrape, and both as k6 sees them."""
    env = variables(scratch.folder, f"sqlite:///{scratch.folder}/db.sqlite3")
    counting = {"METRICS_SETTINGS": SETTINGS, "PROMETHEUS_MULTIPROC_DIR": str(scratch.folder)}
    asked = environment(scratch.folder, "appmetrics.settings", METRICS="1", **env, **counting)
    printed = output([PYTHON, "-c", ASK], both=True, **asked)
    ours, theirs = map(float, printed.splitlines()[-1].split())
    what = "processor time of a request to the home page, with metrics / without"
    rows = [Row(what, ours, theirs, LIMIT, unit="µs")]
    with served(scratch.folder, settings=SETTINGS, **env) as site:
        Visitors(site.port).browse(0)
        share, note = scraped(site) / INTERVAL, f"{len(site.series())} series"
        what = f"processor time of scrapes, one in {INTERVAL} s, of one core"
        rows.append(Row(what, share * 100, limit=1, unit="%", note=note))
    return [*rows, largest(scratch.folder / "largest"), loaded(scratch.folder / "loaded", env)]


def largest(folder: Path) -> Row:
    """The scrapes of an app with so many views that others would have no name."""
    folder.mkdir()
    with served(folder) as site:
        for number in range(VIEWS * EACH):
            site.get(f"/many/{number // EACH}")
        share, note = scraped(site) / INTERVAL, f"{len(site.series())} series"
        what = f"the same, of an app of which {VIEWS} views were asked"
        return Row(what, share * 100, limit=1, unit="%", note=note)


def scraped(site: Served) -> float:
    """Return the processor time of a scrape."""
    before = used(site.children())
    for _ in range(SCRAPES):
        site.series()
    return (used(site.children()) - before) / SCRAPES


def used(pids: Iterable[int]) -> float:
    """Return the processor time of processes, in seconds."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            user, system = file.read().rpartition(")")[2].split()[11:13]
        ticks += int(user) + int(system)
    return ticks / os.sysconf("SC_CLK_TCK")


def loaded(folder: Path, env: dict[str, str]) -> Row:
    """What k6 gets of a server with one core, with metrics and without, by turns of one request.

    It asks without a pause, one at a time: the rate follows from how long a request takes.

    Args:
        env: the app's variables.

    Raises RuntimeError if a request fails.
    """
    *others, core = sorted(os.sched_getaffinity(0))
    folder.mkdir()
    load = os.getloadavg()[0]
    with (
        on({core}),
        served(folder, settings=SETTINGS, module=TWOFOLD, **env) as site,
        on(others or {core}),
    ):
        Visitors(site.port).browse(0)
        url, paths = f"http://127.0.0.1:{site.port}", ("/?counted", "/?without")
        with Referee(url, clients=1, pause=0, paths=paths) as k6:
            for _ in range(LASTS):
                time.sleep(INTERVAL)
                site.series()
    if k6.failed or not k6.total:
        raise RuntimeError(f"{k6}: {k6.complaints[:3]}")
    what = "median time for a request to the home page, k6, with metrics / without"
    rates = " / ".join(f"{1 / each:.1f}" for each in k6.medians)
    note = f"{k6.total} requests, {rates} in a second; load before {load:.1f}"
    counted, plain = (each * 1000 for each in k6.medians)
    return Row(what, counted, plain, 1 / LEAST, unit="ms", note=note)


@contextmanager
def on(cores: Collection[int]) -> Iterator[None]:
    """Run on these cores what is started meanwhile, and this thread, too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
