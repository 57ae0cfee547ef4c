"""The Compose files, as Compose itself reads them, and the database of the tests."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.testbed.commands import ROOT, docker

pytestmark = pytest.mark.engine


def compose(*words: str, **env: str) -> str:
    """What Compose prints for base.yml and overlays, with no variables but these."""
    kept = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT")
    clean = {name: value for name, value in os.environ.items() if name in kept}
    done = subprocess.run(
        ["docker", "compose", *words],
        cwd=ROOT, env={**clean, **env}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(overlay: str, **env: str) -> dict[str, Any]:
    """The stack of an overlay."""
    files = ["-f", "compose/base.yml", "-f", f"compose/{overlay}.yml"]
    return dict(json.loads(compose(*files, "config", "--format=json", **env)))


def published(stack: dict[str, Any]) -> list[dict[str, Any]]:
    """Every port that is published."""
    return [port for service in stack["services"].values() for port in service.get("ports", [])]


def test_development_needs_no_variable():
    stack = rendered("dev")
    assert stack["name"] == "app"
    assert {"app", "worker", "db", "redis"} == set(stack["services"])


def test_clones_stand_side_by_side_under_names_of_their_own():
    stack = rendered("dev", COMPOSE_PROJECT_NAME="other")
    assert stack["name"] == "other"
    assert "other" == stack["services"]["app"]["image"] == stack["services"]["worker"]["image"]
    assert stack["volumes"]["db"]["name"] == "other_db"


def test_development_publishes_on_this_machine_only():
    ports = published(rendered("dev", APP_PORT="8123"))
    assert {"127.0.0.1"} == {port["host_ip"] for port in ports}
    assert "8123" in {port.get("published") for port in ports}


def test_the_debugger_has_its_port_when_it_is_asked_for():
    ports = published(rendered("dev", DEBUGGER="1", DEBUG_PORT="5999"))
    assert [port["published"] for port in ports if port["target"] == 5678] == ["5999"]


def test_without_the_debugger_its_port_is_in_nobodys_way():
    ports = published(rendered("dev", DEBUG_PORT="5999"))
    assert [port.get("published") or None for port in ports if port["target"] == 5678] == [None]


def test_files_written_in_development_and_tests_belong_to_the_user():
    for overlay, service in (("dev", "app"), ("dev", "worker"), ("test", "app")):
        stack = rendered(overlay, APP_UID="1234", APP_GID="2345")
        assert stack["services"][service]["user"] == "1234:2345"


def test_the_app_has_no_rights_that_it_does_not_need():
    for overlay in ("dev", "test"):
        app = rendered(overlay)["services"]["app"]
        assert (app["read_only"], app["cap_drop"]) == (True, ["ALL"])
        assert app["security_opt"] == ["no-new-privileges:true"]


def test_without_redis_nothing_knows_of_it():
    for overlay in ("dev", "test"):
        files = [f"-fcompose/{name}.yml" for name in ("base", overlay, "broker-none")]
        services = json.loads(compose(*files, "config", "--format=json"))["services"]
        assert "redis" not in services
        assert services["app"]["environment"]["REDIS_URL"] == ""
        assert set(services["app"]["depends_on"]) == {"db"}


def test_tests_publish_nothing_and_start_no_worker():
    stack = rendered("test")
    assert published(stack) == []
    assert {"app", "db", "redis"} == set(stack["services"])


def test_without_an_overlay_nothing_has_a_password():
    base = json.loads(compose("-f", "compose/base.yml", "config", "--format=json"))["services"]
    assert base["app"]["environment"]["SECRET_KEY"] is None
    assert base["db"]["environment"]["POSTGRES_PASSWORD"] is None
    assert base["app"]["environment"]["DATABASE_PASSWORD"] == ""


def test_the_database_of_the_tests_is_quick_and_keeps_nothing(mark):
    files = ["-p", f"{mark}-compose", "-f", "compose/base.yml", "-f", "compose/test.yml"]
    ask = [*files, "exec", "-T", "db", "psql", "-U", "app", "-Atc"]
    try:
        compose(*files, "up", "--detach", "--wait", "db")
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert compose(*ask, f"show {setting}").strip() == "off"
        data = compose(*ask, "show data_directory").strip()
        place = compose(*files, "exec", "-T", "db", "stat", "-f", "-c", "%T", data).strip()
        assert place == "tmpfs"
        assert docker("volume", "ls", "-q", f"--filter=name={mark}-compose") == ""
    finally:
        compose(*files, "down", "--volumes", "--timeout=1")
