"""What metrics cost the app: of the processor time of a request, of a scrape, and of its rate."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.table import Row, alternate
from bench.visitors import SETTINGS, Visitors, variables
from bench.watched import INTERVAL
from tests.testbed.commands import output
from tests.testbed.k6 import Referee
from tests.testbed.measured import PYTHON, Served, environment, served
from tests.testbed.scratch import Scratch

SCRAPES, LIMIT = 20, 1.01
# Turns of k6 of each side, as long as from one scrape to the next; seconds of one before these;
# clients that ask all the time; the least of the rate that metrics leave.
TURNS, WARM, CLIENTS, LEAST = 7, 3, 4, 0.99
# Both in one process, in short turns, and the best of each: what else the machine does only ever
# adds to it. It prints the microseconds of a request with metrics, and without.
ASK = """
import io, sys, time
import django
django.setup()
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
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
counted = WSGIHandler()
settings.MIDDLEWARE = settings.MIDDLEWARE[1:]
handlers, taken = (counted, WSGIHandler()), ([], [])
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
    return [*rows, *loaded(scratch.folder, env)]


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


def loaded(folder: Path, env: dict[str, str]) -> list[Row]:
    """What k6 gets of a server that has one core, with metrics and without, in turns.

    Args:
        env: the app's variables.
    """
    *others, core = sorted(os.sched_getaffinity(0))
    sides = {name: folder / name for name in ("counted", "plain")}
    for side in sides.values():
        side.mkdir()
    load = os.getloadavg()[0]
    with (
        on({core}),
        served(sides["counted"], settings=SETTINGS, **env) as counted,
        served(sides["plain"], metrics=False, settings=SETTINGS, **env) as plain,
        on(others or {core}),
    ):
        pair = Loaded(counted), Loaded(plain)
        rates = alternate(pair[0].turn, pair[1].turn, TURNS, warm=False)
    what = "time for a request to the home page, k6, with metrics / without"
    note = f"{rates[0]:.0f} / {rates[1]:.0f} in a second; load before {load:.1f}"
    milliseconds = [1000 / each for each in rates]
    spent = [median(each.spent) for each in pair]
    return [
        Row(what, *milliseconds, 1 / LEAST, unit="ms", note=note),
        Row("its processor time, with the scrapes", *spent, 1 / LEAST, unit="ms"),
    ]


@contextmanager
def on(cores: Collection[int]) -> Iterator[None]:
    """Run on these cores what is started meanwhile, and this thread, too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Loaded:
    """A site of which k6 gets as much as it can give, after each of its views was visited.

    Attributes:
        spent: of each turn, the processor time for a request, in milliseconds.
    """

    def __init__(self, site: Served) -> None:
        self.site, self.spent = site, list[float]()
        Visitors(site.port).browse(0)
        self.load(WARM)

    def turn(self) -> float:
        """Return how many requests a second it answers; the last half has a scrape."""
        before = used(self.site.children())
        k6 = self.load(INTERVAL)
        self.spent.append((used(self.site.children()) - before) / k6.total * 1000)
        return k6.rate

    def load(self, seconds: float) -> Referee:
        """Ask the home page so long. Raises RuntimeError if a request fails."""
        with Referee(f"http://127.0.0.1:{self.site.port}", CLIENTS, pause=0, paths=("/",)) as k6:
            time.sleep(seconds / 2)
            self.site.series()
            time.sleep(seconds / 2)
        if k6.failed or not k6.total:
            raise RuntimeError(f"{k6}: {k6.complaints[:3]}")
        return k6
