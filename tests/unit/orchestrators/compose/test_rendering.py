"""A stack of one server, and the Compose files that make containers of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.orchestrators.base import Job
from tasks.lib.orchestrators.compose import rendering
from tasks.lib.orchestrators.stack import Stack, load

IMAGE = f"registry.example.com/app@sha256:{'a' * 64}"
SECRETS = {"KEY": "shop-prod_KEY_v3"}


def config(**app: Any) -> dict[str, Any]:
    """What `docker compose config` prints."""
    use = {"source": "KEY", "uid": "10001", "gid": "10001", "mode": "0400"}
    ours = {
        "image": IMAGE,
        "environment": {"A": "x$$y", "EMPTY": None},
        "secrets": [use],
        "deploy": {"replicas": 2, "placement": {}, "update_config": {"order": "start-first"}},
        "networks": {"default": None},
        "depends_on": {"db": {}},
        **app,
    }
    volumes = [{"type": "volume", "source": "db", "target": "/data"}]
    db = {"image": "postgres:17", "volumes": volumes, "secrets": [{**use, "target": "PW"}]}
    return {
        "services": {"app": ours, "db": db},
        "networks": {"default": {"name": "shop-prod_default", "ipam": {}}},
        "volumes": {"db": {"name": "shop-prod_db"}},
        "secrets": {"KEY": {"external": True}},
    }


def stack(**app: Any) -> Stack:
    """The stack of that configuration."""
    return rendering.render(config(**app), "shop-prod", IMAGE, SECRETS).labelled(4, "there")


def test_a_stack_has_nothing_of_a_swarm_and_no_variable_without_a_value():
    app = stack().services["app"]
    assert app["environment"] == {"A": "x$$y"}
    assert {*app["deploy"]} == {"replicas", "labels"}
    assert "depends_on" not in app


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("container_name", "app"),
        ("network_mode", "host"),
        ("ports", [{"target": 8000, "published": "8000"}]),
        ("volumes", [{"type": "bind", "source": "/srv", "target": "/srv"}]),
    ],
)
def test_what_keeps_a_second_container_from_being_there_is_refused(key, value):
    with pytest.raises(TaskError, match=rf"services\.app\.{key}: ") as caught:
        stack(**{key: value})
    assert caught.value.code == ExitCode.REFUSED


def test_an_image_without_a_digest_is_refused():
    tag = IMAGE.replace(f"@sha256:{'a' * 64}", ":1.2")
    with pytest.raises(TaskError, match=r"app:1\.2: a tag may move; give a digest"):
        rendering.render(config(image=tag), "shop-prod", tag, SECRETS)


def test_new_containers_of_the_app_have_a_name_of_their_own_and_no_restart_policy():
    file = rendering.generation(stack(), ["app", "db"], "4-abc")
    app, db = file["services"]["app-4-abc"], file["services"]["db-4-abc"]
    assert app["restart"] == db["restart"] == "no"
    assert app["networks"] == {"default": {"aliases": ["shop-prod_app"]}}
    assert db["networks"] == {"default": {"aliases": ["shop-prod_db", "db"]}}
    assert app["deploy"]["replicas"] == 2
    labels = app["labels"]
    assert (labels["deploy.service"], labels["deploy.release"]) == ("app", "4")


def test_a_secret_is_a_file_of_its_volume_with_the_owner_and_the_mode_of_its_use():
    file = rendering.generation(stack(), ["app", "db"], "4-abc")
    (mount,) = file["services"]["app-4-abc"]["volumes"]
    assert mount["source"] == "shop-prod_KEY_v3"
    assert mount["target"] == "/run/secrets/KEY"
    assert mount["volume"]["subpath"] == "10001.10001.400"
    assert file["services"]["db-4-abc"]["volumes"][1]["target"] == "/run/secrets/PW"
    assert file["volumes"]["shop-prod_KEY_v3"]["external"]


def test_a_container_says_what_it_was_made_from_and_compose_changes_none_of_it():
    labels = rendering.generation(stack(), ["app"], "4-abc")["services"]["app-4-abc"]["labels"]
    content = json.loads(labels["deploy.content"].replace("$$", "$"))
    assert content["services"]["app"] == stack().services["app"]
    assert content["secrets"] == {"KEY": {"external": True, "name": "shop-prod_KEY_v3"}}


def test_a_recorded_stack_whose_record_lost_the_image_still_knows_the_apps_services():
    assert load("shop-prod", "", stack().text()).ours == ["app"]


def test_a_job_is_the_app_with_another_command_and_belongs_to_no_service():
    job = Job("migrate", ["sh", "-c", "echo $HOME"], overrides={"user": "0:0"})
    (made,) = rendering.jobs_file(stack(), [job], "x")["services"].values()
    assert made["command"] == ["sh", "-c", "echo $$HOME"]
    assert made["user"] == "0:0" and made["restart"] == "no"
    assert made["logging"] == {"driver": "local"}
    assert made["labels"] == {"deploy.job": "migrate", "deploy.stack": "shop-prod"}
