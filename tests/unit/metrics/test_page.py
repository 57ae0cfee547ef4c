"""The page and its panels, with a real Prometheus and a real app."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.testbed import prometheus
from tests.testbed.commands import until
from tests.testbed.measured import Served, served
from tests.testbed.prometheus import grafana

# What the app's web server measures; tests/engine has the other panels.
WEB = re.compile(r"app_(requests|request_|server|info|start)|up\{")


@pytest.fixture
def site(tmp_path) -> Iterator[Served]:
    """A project with metrics."""
    with served(tmp_path) as one:
        yield one


@pytest.fixture
def measured(site, tmp_path) -> Iterator[prometheus.Prometheus]:
    """A Prometheus that measures it."""
    prometheus.required()
    with prometheus.measuring(tmp_path, app=site.metrics_port) as one:
        yield one


def test_grafana_has_the_panels_of_the_page():
    assert grafana.FILE.read_text("utf-8") == grafana.text(), (
        "run: .inv/venv/bin/python docs/grafana.py"
    )
    assert len(grafana.panels()) == grafana.PAGE.read_text().count('{{ template "panel"')


def test_every_panel_has_a_right_query_and_those_of_the_app_have_data(site, measured):
    def full() -> bool:
        site.get("/")
        return all(measured.ask(each.query) for each in grafana.panels() if WEB.search(each.query))

    assert len([each for each in grafana.panels() if WEB.search(each.query)]) > 8
    until(full, 60, 0.5)
    for each in grafana.panels():
        measured.ask(each.query)


def test_a_release_is_marked_once(measured):
    until(lambda: measured.ask("app_info"))
    # Nothing measures the database here: tests/engine does.
    assert measured.ask(grafana.MIGRATED) == []
    (mark,) = measured.ask(grafana.MARK)
    assert mark["metric"] == {"release": "abc"}
    # As it is a minute later.
    until(lambda: not measured.ask(grafana.MARK.replace("offset 1m", "offset 1s")))


def test_the_release_that_a_rollback_brings_back_is_marked(site, tmp_path):
    prometheus.required()
    (tmp_path / "next").mkdir()
    query = grafana.MARK.replace("offset 1m", "offset 3s")
    with (
        served(tmp_path / "next", VERSION="def") as later,
        prometheus.measuring(tmp_path, app=site.metrics_port, web=later.metrics_port) as watched,
    ):

        def marked() -> list[str]:
            return [each["metric"]["release"] for each in watched.ask(query)]

        until(lambda: len(watched.ask("count by (release) (app_info)")) == 2)
        os.killpg(site.process.pid, signal.SIGSTOP)
        until(lambda: not watched.ask('app_info{release="abc"} offset 3s') and not marked(), 60)
        os.killpg(site.process.pid, signal.SIGCONT)
        until(lambda: marked() == ["abc"])
        until(lambda: not marked())


def test_the_page_says_whether_all_is_well_and_since_when_it_is_not(site, measured):
    assert "Nothing of the app is measured" in measured.page() or site.get("/")
    until(lambda: "All is well" in measured.page() and "abc" in measured.page())
    assert "no template" not in measured.page().lower()
    os.killpg(site.process.pid, signal.SIGSTOP)
    until(lambda: "ReplicaDown" in measured.firing(), 60)
    shown = until(lambda: "Not well" in (text := measured.page()) and text)
    since = r"<strong>ReplicaDown</strong> app 127\.0\.0\.1:\d+\s+since \d{4}-\d\d-\d\d \d\d:\d\d"
    assert re.search(since, shown) and "docs/oncall.md#replicadown" in shown
    os.killpg(site.process.pid, signal.SIGCONT)
    until(lambda: "All is well" in measured.page(), 60)


def test_errors_fire_an_alert(site, measured):
    def fail() -> bool:
        for _ in range(5):
            site.get("/broken")
        return "ErrorRate" in measured.firing()

    until(fail, 60, 0.5)


def test_slow_requests_and_a_full_server_fire_an_alert_each_which_ends(site, measured):
    fired: set[str] = set()
    with ThreadPoolExecutor(12) as clients:
        many = [clients.submit(site.get, "/slow/2") for _ in range(60)]
        wanted = {"SlowRequests", "WebServerFull"}
        until(lambda: fired.update(measured.firing()) or wanted <= fired, 60, 0.5)
        for each in many:
            each.cancel()

    def well() -> bool:
        site.get("/")
        return not measured.firing()

    until(well, 60, 0.5)
