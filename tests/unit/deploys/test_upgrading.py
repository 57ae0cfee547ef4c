"""The upgrade of a database: when a deploy is refused for it, and what its job gets."""

from __future__ import annotations

import msgspec
import pytest
import yaml

from tasks.lib.deploys import database, preflight, upgrading
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.images import data
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.project import contract
from tasks.lib.project.app_settings import Services
from tests.testbed.commands import ROOT

DATA = {"type": "volume", "source": "db18", "target": "/var/lib/postgresql/data"}


@pytest.fixture
def running(world, monkeypatch):
    """Lets the database that runs say its version."""
    world.deploy(world.image())
    inner = world.target.orchestrator.inner
    known = inner.inside

    def inside(service: str, script: str) -> str | None:
        if script == database.VERSION:
            return "postgres (PostgreSQL) 17.12 (Debian 17.12-1)\n"
        return known(service, script)

    monkeypatch.setattr(inner, "inside", inside)
    return world


def wants(world, version: int) -> None:
    services = msgspec.structs.replace(world.target.settings.services, postgres=version)
    world.target.settings = msgspec.structs.replace(world.target.settings, services=services)


def test_a_deploy_does_not_start_another_major_version(running):
    wants(running, 18)
    with pytest.raises(TaskError, match=r"PostgreSQL 17 runs, .* is 18 - inv db.upgrade") as caught:
        preflight.prepare(running.target, running.records()[0].digest, "", changes=False)
    assert caught.value.code == ExitCode.REFUSED
    wants(running, 17)
    assert database.outdated(running.target) == []


def test_what_does_not_run_is_not_outdated(world):
    wants(world, 18)
    assert database.outdated(world.target) == []


def test_the_version_is_that_of_the_image_of_the_compose_files():
    assert data.base(Services()) == "postgres:17-trixie"
    assert data.base(Services(postgres=18)) == "postgres:18-trixie"
    assert [data.major(Services(postgres=each)) for each in (17, 18)] == [17, 18]
    assert data.tag(Services()) != data.tag(Services(postgres=18))


def test_each_version_keeps_its_data_on_a_volume_of_its_own():
    files = [*(ROOT / "compose").glob("postgres-[0-9][0-9].yml")]
    assert files
    for file in files:
        db = yaml.safe_load(file.read_text())["services"]["db"]
        ((name, _, folder),) = (each.partition(":") for each in db["volumes"])
        # The image's own folder has the version in it, outside of the mount.
        assert folder == db["environment"]["PGDATA"] == contract.DATABASE_FOLDER
        assert name == f"db{file.stem.partition('-')[2]}"


def stack(volume: str, user: str) -> Stack:
    backup = {
        "image": f"tools-{volume}", "environment": {"POSTGRES_USER": user}, "secrets": [],
        "volumes": [{"type": "volume", "source": "backups", "target": "/backups"}],
        "deploy": {}, "read_only": True,
    }  # fmt: skip
    db = {"image": volume, "environment": {"A": "b"}, "volumes": [{**DATA, "source": volume}]}
    services = {"app": {"image": "app"}, "db": db, "backup": backup}
    content = {"services": services, "volumes": {volume: {"name": f"s_{volume}"}}, "version": "3"}
    return Stack("s", "app", content)


OLD, NEW = stack("db", "app_admin_v1"), stack("db18", "app_admin_v2")


def test_the_job_has_the_new_volume_and_logs_in_with_the_new_password():
    made = upgrading.move(NEW, "last").overrides
    assert made["image"] == "tools-db18"
    assert DATA in made["volumes"]
    expected = {"POSTGRES_USER": "app_admin_v2", "PGDATA": DATA["target"], "A": "b"}
    assert made["environment"] == expected
    assert made["read_only"] is False


def test_after_the_move_the_way_back_is_the_old_app_with_the_new_database():
    newer = Stack(
        "s", "app", {**NEW.content, "services": {**NEW.services, "app": {"image": "app", "new": 1}}}
    )
    made = upgrading.mixed(OLD, newer)
    assert made.services["app"] == {"image": "app"}
    assert made.services["db"] == NEW.services["db"]
    assert made.content["volumes"].keys() == {"db", "db18"}


def test_what_needs_no_upgrade_is_refused(running, monkeypatch):
    monkeypatch.setattr(upgrading.tools, "stack", lambda target: OLD)
    with running.target.locked("upgrades") as lock, pytest.raises(TaskError) as caught:
        upgrading.prepared(running.target, lock)
    assert "has the version of invoke.yaml" in str(caught.value)
