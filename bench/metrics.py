"""What metrics cost the app: processor time of a request with them and without, and of a scrape."""

from __future__ import annotations

import os

from bench.table import Row
from tests.testbed.commands import output
from tests.testbed.measured import PYTHON, Served, environment, served
from tests.testbed.scratch import Scratch

SETTINGS = "myapp.settings.prod"
SCRAPES, LIMIT = 20, 1.01
# Seconds between two scrapes of Prometheus.
INTERVAL = 15
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
    """The home page with metrics and without, and a scrape."""
    env = {
        "SECRET_KEY": "of-a-measurement" * 4,  # pragma: allowlist secret
        "SITE_URL": "http://127.0.0.1",
        "DATABASE_URL": f"sqlite:///{scratch.folder}/db.sqlite3",
        "STATIC_ROOT": f"{scratch.folder}/static",
    }
    for command in ("migrate", "collectstatic"):
        words = [PYTHON, scratch.root / "manage.py", command, "--no-input", "--verbosity=0"]
        output(words, scratch.root, **environment(scratch.folder, SETTINGS, **env))
    env |= {"METRICS_SETTINGS": SETTINGS, "PROMETHEUS_MULTIPROC_DIR": str(scratch.folder)}
    asked = environment(scratch.folder, "appmetrics.settings", METRICS="1", **env)
    printed = output([PYTHON, "-c", ASK], both=True, **asked)
    ours, theirs = map(float, printed.splitlines()[-1].split())
    what = "processor time of a request to the home page, with metrics / without"
    rows = [Row(what, ours, theirs, LIMIT, unit="µs")]
    with served(scratch.folder, settings=SETTINGS, **env) as site:
        share, note = scraped(site) / INTERVAL, f"{len(site.series())} series"
        what = f"processor time of scrapes, one in {INTERVAL} s, of one core"
        return [*rows, Row(what, share * 100, limit=1, unit="%", note=note)]


def scraped(site: Served) -> float:
    """Return the processor time of a scrape."""
    before = used(site)
    for _ in range(SCRAPES):
        site.series()
    return (used(site) - before) / SCRAPES


def used(site: Served) -> float:
    """Return the processor time of all processes of a site, in seconds."""
    ticks = 0
    for pid in site.children():
        with open(f"/proc/{pid}/stat") as file:
            user, system = file.read().rpartition(")")[2].split()[11:13]
        ticks += int(user) + int(system)
    return ticks / os.sysconf("SC_CLK_TCK")
