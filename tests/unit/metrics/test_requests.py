"""What the app's web server counts, of any Django project, and how much that can ever be."""

from __future__ import annotations

import os
import random
import signal
import string
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.testbed.commands import ROOT, output, until, works
from tests.testbed.measured import PROCESSES, PYTHON, Served, environment, served

REQUESTS, SECONDS = "app_requests_total", "app_request_seconds_count"
PATHS, VIEWS, MOST = 10_000, 400, 300


@pytest.fixture
def site(tmp_path) -> Iterator[Served]:
    """A project with metrics, which nobody has asked yet."""
    with served(tmp_path) as one:
        yield one


def busy(site: Served, times: int, path: str = "/") -> list[str]:
    """Ask so often, and by several clients; return which process answered."""
    with ThreadPoolExecutor(4) as clients:
        return [text for _, text in clients.map(lambda _: site.get(path), range(times))]


def test_a_request_is_counted_by_view_method_status_and_release(site):
    site.get("/slow/0")
    site.get("/slow/0", "HEAD")
    site.get("/broken")
    labels = ('view="slow"', 'method="GET"', 'status="200"', 'release="abc"')
    assert site.total(REQUESTS, *labels) == 1
    assert site.total(REQUESTS, 'view="slow"') == 2
    assert site.total(SECONDS, 'view="slow"') == 2
    assert site.total(REQUESTS, 'view="small_site.broken"', 'status="500"') == 1
    assert site.series("app_info") == {'app_info{release="abc",role="web"}': 1}


def test_it_is_told_how_many_replicas_there_are_to_be(tmp_path):
    with served(tmp_path, METRICS_REPLICAS="3") as site:
        assert site.series("app_replicas_wanted") == {"app_replicas_wanted": 3}


def test_paths_and_methods_that_clients_make_up_make_no_series(site):
    letters = random.Random(1)
    site.get("/nowhere")
    site.get("/nowhere", "STRANGE")

    def ask(number: int) -> None:
        word = "".join(letters.choices(string.ascii_lowercase, k=12))
        site.get(f"/{number}/{word}?{word}={number}", word.upper() if number % 2 else "GET")

    before = len(site.series())
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(ask, range(PATHS)))
    found = site.series("app_requests_total{")
    assert len(site.series()) == before
    assert sum(n for key, n in found.items() if 'view="(unknown)"' in key) == PATHS + 2
    assert sum(n for key, n in found.items() if 'method="(other)"' in key) == PATHS / 2 + 1
    assert sum(site.folder.joinpath("metrics", name).stat().st_size for name in site.files()) < 1e6


def test_so_many_views_have_names_and_the_others_share_one(site):
    for number in range(VIEWS):
        for _ in range(3 * PROCESSES):
            site.get(f"/many/{number}")
    names = {key.partition('view="')[2].partition('"')[0] for key in site.series(REQUESTS)}
    assert "(other)" in names
    assert len(names) <= PROCESSES * (MOST + 1)
    assert site.total(REQUESTS) >= PROCESSES * VIEWS


def test_the_counts_of_all_processes_add_up(site):
    before, times = site.total(REQUESTS, 'view="process"'), 400
    assert len({*busy(site, times)}) == PROCESSES
    assert site.total(REQUESTS, 'view="process"') == before + times


def test_a_process_that_is_replaced_takes_no_counts_with_it_and_adds_none(site):
    known = set[str]()
    for round in range(1, 4):
        counted = site.total(REQUESTS, 'view="process"')
        known |= (pids := {*busy(site, 200)})
        assert site.total(REQUESTS, 'view="process"') == counted + 200
        # One of them dies with a request in hand.
        asked = threading.Thread(target=works(lambda: site.get("/slow/9")))
        asked.start()
        until(lambda: site.total("app_requests_in_progress") == 1)
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
        until(lambda: site.total("app_requests_in_progress") == 0)
        assert site.total(REQUESTS, 'view="process"') == counted + 200
        asked.join()
        until(lambda gone=known: site.get()[1] not in gone)
        files = len(site.files())
        assert files <= 4 * (PROCESSES + 1), f"round {round}: {site.files()}"


def test_metrics_that_the_app_itself_makes_are_served_too(tmp_path):
    with served(tmp_path, settings="small_metrics") as site:
        for round in (1, 2):
            pids = {*busy(site, 200, "/order/book/7")}
            assert len(pids) == PROCESSES
            site.get("/order/pen/500")
            assert site.series("shop_orders_total") == {
                'shop_orders_total{kind="book"}': round * 200,
                'shop_orders_total{kind="pen"}': round,
            }
            assert site.series()['shop_order_value_bucket{le="10.0"}'] == round * 200
            assert site.series()["shop_order_value_count"] == round * 201
            assert site.series("shop_open") == {"shop_open": 1}
            # Beside what is counted of each app.
            assert site.total(REQUESTS, 'view="small_metrics.order"') == round * 201
            for pid in pids:
                os.kill(int(pid), signal.SIGKILL)
            until(lambda gone=pids: site.get()[1] not in gone)


def test_connections_that_wait_are_told(site):
    assert site.series("app_server") == {"app_server_queue": 0, "app_server_threads": 4}
    with ThreadPoolExecutor(12) as clients:
        asked = [clients.submit(site.get, "/slow/2") for _ in range(12)]
        until(lambda: site.series()["app_server_queue"] >= 4)
        assert site.total("app_requests_in_progress") == 4
        assert {each.result()[0] for each in asked} == {200}
    assert site.total("app_server_queue") == site.total("app_requests_in_progress") == 0


def test_the_metrics_end_with_the_server(site):
    os.kill(site.process.pid, signal.SIGKILL)
    site.process.wait()
    until(lambda: not site.series())


def test_without_the_setting_nothing_listens_and_nothing_is_imported(tmp_path):
    with served(tmp_path, metrics=False) as site:
        assert site.get()[0] == 200
        assert not site.series() and not (tmp_path / "metrics").exists()
        # The shell, the server, and its processes.
        pids = site.children()
        assert len(pids) == 2 + PROCESSES
        commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
        assert "appmetrics" not in "".join(commands)


ASYNC = """
import asyncio, importlib, sys
import django
django.setup()
from django.test import AsyncClient
async def ask():
    client = AsyncClient(raise_request_exception=False)
    for path in ("/", "/broken", "/nowhere"):
        await client.get(path)
asyncio.run(ask())
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def test_asgi_counts_the_same(tmp_path):
    known = {"METRICS": "1", "METRICS_SETTINGS": "small_site"}
    env = environment(tmp_path, "appmetrics.settings", **known)
    env["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path)
    found = subprocess.run([PYTHON, "-c", ASYNC], env=env, capture_output=True, text=True)
    line = 'app_requests_total{method="GET",release="abc",status="%s",view="%s"} 1.0'
    for status, view in ((200, "process"), (500, "small_site.broken"), (404, "(unknown)")):
        assert line % (status, view) in found.stdout, found.stderr
    assert "app_requests_in_progress 0.0" in found.stdout


def test_the_setting_alone_imports_the_library(tmp_path):
    code = "import django, sys; django.setup(); print('prometheus_client' in sys.modules)"
    script = f'. "{ROOT}/docker/metrics/start.sh"; python -c "{code}"'
    assert output(["sh", "-euc", script], **environment(tmp_path)) == "False"
