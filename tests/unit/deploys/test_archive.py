"""The archive of the database in a stack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tasks.lib.deploys import archive, plan, rendering
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.images import data
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.project.app_settings import Services


@pytest.fixture
def archived(world):
    """Gives the environment an archive, with these settings of its backups."""

    def give(secrets: tuple[str, ...] = ("ARCHIVE_KEY",), **backup: Any) -> Any:
        known = world.target.settings
        deploy = msgspec.structs.replace(known.deploy, secrets=[*known.deploy.secrets, *secrets])
        made = msgspec.structs.replace(known.backup, **{"every": 24, "pitr": True} | backup)
        world.target.settings = msgspec.structs.replace(known, deploy=deploy, backup=made)
        return world.target

    return give


def test_the_archive_is_on_the_volume_or_in_the_storage_below_the_stack(archived, monkeypatch):
    monkeypatch.setattr(data, "image", lambda registry, services, stage: f"{stage}@sha256:1")
    target = archived()
    found = archive.variables(target)
    assert found["ARCHIVE_TYPE"] == "posix"
    assert found["DATABASE_IMAGE"] == "database@sha256:1"
    place = {"storage": "s3://bucket/of/ours/", "endpoint": "https://s3.example.com:9000"}
    found = archive.variables(archived((), **place))
    assert found["ARCHIVE_BUCKET"] == "bucket"
    assert found["ARCHIVE_PATH"] == f"/of/ours/{target.stack}/archive"
    assert found["ARCHIVE_ENDPOINT"] == "https://s3.example.com:9000"
    found = archive.variables(archived((), storage="s3://bucket", endpoint="", region="eu-1"))
    assert found["ARCHIVE_PATH"] == f"/{target.stack}/archive"
    assert found["ARCHIVE_ENDPOINT"] == "s3.eu-1.amazonaws.com"


@pytest.mark.parametrize(
    ("secrets", "backup", "what"),
    [
        ((), {}, "the archive has no key"),
        (("ARCHIVE_KEY",), {"endpoint": "http://s3:9000"}, "has no TLS"),
        (("ARCHIVE_KEY", "DATABASE_URL"), {}, "is not ours to archive"),
    ],
)
def test_an_archive_that_cannot_be_is_refused(archived, secrets, backup, what):
    with pytest.raises(TaskError, match=what) as caught:
        archive.variables(archived(secrets, **backup))
    assert caught.value.code == ExitCode.REFUSED


def test_an_archive_needs_backups(archived, world):
    target = archived(every=0)
    with pytest.raises(TaskError, match="there are no backups"):
        rendering.render(target, world.image())


def test_an_archive_is_not_on_a_cluster(archived, world):
    known = world.target.environment
    world.target.environment = msgspec.structs.replace(known, orchestrator="kubernetes")
    with pytest.raises(TaskError, match=r"backup\.pitr: prod is on a cluster") as caught:
        rendering.render(archived(), world.image())
    assert caught.value.code == ExitCode.REFUSED


def test_files_of_users_are_not_on_a_cluster(world):
    known, settings = world.target.environment, world.target.settings
    app = msgspec.structs.replace(settings.app, media="media")
    world.target.settings = msgspec.structs.replace(settings, app=app)
    world.target.environment = msgspec.structs.replace(known, orchestrator="kubernetes")
    with pytest.raises(TaskError, match=r"app\.media: prod is on a cluster") as caught:
        rendering.render(world.target, world.image())
    assert caught.value.code == ExitCode.REFUSED


def test_the_tags_of_the_images_differ_and_follow_the_database_of_the_project(monkeypatch):
    services = Services()
    tags = {data.tag(services, stage) for stage in (data.TOOLS, data.DATABASE)}
    assert len(tags) == 2
    assert data.base(services).startswith("postgres:")
    monkeypatch.setattr(data, "base", lambda services: "postgres:99")
    assert data.tag(services) not in tags


def stack(**images: str) -> Stack:
    services = {name: {"image": image} for name, image in images.items()}
    return Stack("s", "app", {"services": {"app": {"image": "app"}, **services}})


def test_a_plan_says_that_the_database_stops():
    old, new = stack(db="postgres:17", redis="redis:8"), stack(db="ours", redis="redis:8")
    assert plan.interrupted(old, new) == ["db"]
    assert plan.interrupted(None, new) == plan.interrupted(new, new) == []
    assert plan.interrupted(stack(redis="redis:8"), new) == []


def test_a_plan_says_that_the_only_proxy_stops():
    def proxied(image: str, replicas: int) -> Stack:
        made = stack(proxy=image)
        made.services["proxy"] |= {"ports": [{"target": 80}], "deploy": {"replicas": replicas}}
        return made

    assert plan.interrupted(proxied("caddy:2", 1), proxied("caddy:3", 1)) == ["proxy"]
    assert plan.interrupted(proxied("caddy:2", 1), proxied("caddy:2", 1)) == []
    assert plan.interrupted(proxied("caddy:2", 2), proxied("caddy:3", 2)) == []


def test_a_plan_says_that_a_service_with_another_secret_stops_whatever_its_name_is():
    def using(source: str, version: str) -> Stack:
        made = stack(db="postgres:17")
        made.services["db"]["secrets"] = [{"source": source, "target": "PASSWORD"}]
        return replace(made, content={**made.content, "secrets": {source: {"name": version}}})

    old = using("PASSWORD", "s_PASSWORD_v1")
    assert plan.interrupted(old, using("FIRST", "s_PASSWORD_v1")) == []
    assert plan.interrupted(old, using("PASSWORD", "s_PASSWORD_v2")) == ["db"]
