"""`inv dev --with monitoring`: every panel of the page has data of what really runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.commands import docker, free_port, page, until
from tests.testbed.prometheus import Prometheus, grafana, stand_ins

pytestmark = pytest.mark.engine
STOPPED = {"redis": "RedisDown", "db": "DatabaseDown", "worker": "NoWorker", "app": "SiteDown"}


@pytest.fixture(scope="module")
def images() -> None:
    """The images of compose/monitoring.yml."""
    stand_ins()


@pytest.fixture
def app(images: None, clone: Path, inv, port: int) -> Iterator[tuple[Path, int, Prometheus]]:
    """The app with monitoring: the clone, the app's port, and Prometheus. Alerts are quick."""
    for file, old, new in (
        ("prometheus.yml", "interval: 15s", "interval: 2s"),
        ("prometheus.yml", "refresh_interval: 10s", "refresh_interval: 1s"),
        ("prometheus.yml", "timeout: 10s", "timeout: 2s"),
        ("rules.yml", "for: 1m", "for: 4s"),
        ("rules.yml", "for: 3m", "for: 4s"),
    ):
        path = clone / "compose/monitoring" / file
        path.write_text(path.read_text().replace(old, new))
    there = free_port()
    env = {"INVOKE_DEV_MONITORINGPORT": str(there)}
    words = ("dev", "--detach", "--with=monitoring", "--engine=docker", "--port", str(port))
    up = inv(*words, root=clone, **env)
    try:
        assert up.returncode == 0, up.stderr
        assert f"how it is: http://127.0.0.1:{there}/consoles/index.html" in up.stderr
        yield clone, port, Prometheus(there)
    finally:
        inv("down", "--engine=docker", "--volumes", "--yes", root=clone)


def container(root: Path, service: str) -> str:
    from tasks.lib.docker.compose import project_name

    project = project_name("myapp", root, "dev")
    labels = (f"project={project}", f"service={service}")
    filters = [f"--filter=label=com.docker.compose.{each}" for each in labels]
    return docker("ps", "--all", "--quiet", *filters)


def only_the_page_is_published(root: Path, port: int, prometheus: Prometheus) -> None:
    shown = docker("inspect", *container(root, "app").split(), "--format={{json .NetworkSettings}}")
    assert "9464" not in json.dumps(json.loads(shown)["Ports"])
    published = json.loads(
        docker("inspect", container(root, "prometheus"), "--format={{json .NetworkSettings.Ports}}")
    )
    (bound,) = (each for each in published.values() if each)
    assert {each["HostIp"] for each in bound} == {"127.0.0.1"}
    for service in ("alertmanager", "node-exporter", "postgres-exporter", "redis-exporter"):
        ports = docker("port", container(root, service))
        assert ports == "", service
    assert prometheus.ask("up")
    assert page(f"http://127.0.0.1:{port}/metrics") == ""


def test_only_the_page_is_published_every_panel_has_data_and_faults_are_told(app):
    root, port, prometheus = app
    only_the_page_is_published(root, port, prometheus)
    queries = {each.title: each.query for each in grafana.panels()}
    # Django's own server has no threads of uWSGI, and no proxy before it: tests/lab has these.
    del queries["Threads that are busy"]
    queries = {title: query for title, query in queries.items() if "caddy_" not in query}

    def empty() -> list[str]:
        page(f"http://127.0.0.1:{port}/")
        code = "from myapp.tasks import flush_clicks; flush_clicks.delay()"
        docker("exec", container(root, "worker"), "python", "manage.py", "shell", "-c", code)
        return [title for title, query in queries.items() if not prometheus.ask(query)]

    try:
        until(lambda: not empty(), 90, 1)
    except TimeoutError:
        raise AssertionError(f"no data: {empty()}") from None
    # A migration is marked, also one that is taken back.
    until(lambda: not prometheus.ask(grafana.MIGRATED), 90, 1)
    migrate = ("python", "manage.py", "migrate", "sessions", "zero")
    docker("exec", container(root, "app"), *migrate)
    until(lambda: prometheus.ask(grafana.MIGRATED), 60, 1)
    docker("exec", container(root, "app"), *migrate[:-2])
    until(lambda: not prometheus.firing(), 60, 0.5)
    assert "All is well" in prometheus.page()
    for service, alert in STOPPED.items():
        docker("stop", "--time=3", container(root, service))
        until(lambda name=alert: name in prometheus.firing(), 60, 0.5)
        assert "Not well" in prometheus.page()
        docker("start", container(root, service))
        until(lambda name=alert: name not in prometheus.firing(), 90, 0.5)
