"""What a stack's containers make up: what is in use, what is healthy, what failed."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.lib.orchestrators.compose import containers
from tasks.lib.orchestrators.compose.containers import Container
from tasks.lib.orchestrators.stack import drift


def made(
    service: str = "app", release: str = "1", generation: str = "", wanted: int = 1, **more: Any
) -> Container:
    """A container; `more` is its state, health, policy, restarts, exit code or variables."""
    content = f'{{"services": {{"{service}": {{"deploy": {{"replicas": {wanted}}}}}}}}}'
    labels = {
        "deploy.service": service, "deploy.release": release, "deploy.history": "there",
        "deploy.generation": generation or release, "deploy.content": content,
        "com.docker.compose.container-number": "1",
    }  # fmt: skip
    health = more.get("health", "healthy")
    state = {"Status": more.get("state", "running"), "ExitCode": more.get("code", 0)}
    state |= {"Health": {"Status": health}} if health else {}
    env = [f"{key}={value}" for key, value in more.get("env", {}).items()]
    return Container({
        "Id": f"{service}{release}{generation}" * 20,
        "Created": f"2026-01-01T00:00:{int(release or 0):02}Z",
        "RestartCount": more.get("restarts", 0),
        "State": state,
        "Config": {"Labels": labels, "Image": "r@sha256:1", "Env": env, "Hostname": "x"},
        "HostConfig": {"RestartPolicy": {"Name": more.get("policy", "unless-stopped")}},
        "NetworkSettings": {"Networks": {}},
    })  # fmt: skip


def seen(*found: Container) -> dict[str, str]:
    """The release and the state of each service."""
    services = containers.services(found, "app", "web1").items()
    return {name: f"{each.release}: {each.progress}" for name, each in services}


@pytest.mark.parametrize(
    ("state", "health", "healthy"),
    [
        *(("running", "healthy", True), ("running", "", True), ("running", "none", True)),
        *(("running", "unhealthy", False), ("running", "starting", False)),
        *(("restarting", "healthy", False), ("exited", "healthy", False), ("paused", "", False)),
    ],
)
def test_healthy_is_that_word_and_running(state, health, healthy):
    assert made(state=state, health=health).healthy is healthy


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"state": "exited", "code": 7}, "replica 1 exited (exit code 7)"),
        ({"state": "exited"}, "replica 1 exited (exit code 0)"),
        ({"health": "unhealthy"}, "replica 1 is unhealthy"),
        ({"restarts": 3, "code": 1}, "replica 1 ended and was restarted (exit code 1)"),
        ({"restarts": 3, "code": 0}, "replica 1 ended and was restarted"),
        ({"health": "starting"}, ""),
        ({"restarts": 2}, ""),
    ],
)
def test_a_failure_says_why(state, why):
    assert made(**state).failure(restarts=2) == why


def test_what_no_deploy_has_accepted_is_in_no_use():
    candidate = made(release="2", policy="no")
    assert seen(made(), candidate) == {"app": "1: 1/1 healthy, 1 old"}


def test_of_two_accepted_releases_the_newer_one_counts_and_the_other_is_left_over():
    assert seen(made(), made(release="2")) == {"app": "2: 1/1 healthy, 1 old"}


def test_what_has_ended_and_was_not_accepted_is_nothing():
    assert seen(made(), made(release="2", policy="no", state="exited")) == {"app": "1: 1/1 healthy"}


def test_without_anything_accepted_the_newest_counts():
    two = made(release="1", policy="no"), made(release="2", policy="no", health="starting")
    assert seen(*two) == {"app": "2: 0/1 healthy, 1 starting, 1 old"}


def test_what_a_release_left_as_it_was_belongs_to_it():
    assert seen(made(release="7"), made("db", "3"))["db"] == "7: 1/1 healthy"


def test_what_was_made_for_a_release_that_is_not_in_use_belongs_to_no_other():
    assert seen(made(release="7"), made("db", "8"))["db"] == "8: 1/1 healthy"
    assert seen(made("db", "3"))["db"] == "3: 1/1 healthy"


def test_a_replica_that_was_stopped_is_missing_and_its_service_is_there():
    (service,) = containers.services([made(state="exited", wanted=2)], "app", "web1").values()
    assert str(service.progress) == "0/2 healthy, 2 starting"
    assert service.spec["Replicas"] == 0 and service.nodes == []


def test_a_service_has_the_labels_of_its_own_container():
    found = containers.services([made(release="9"), made("db", "8")], "app", "web1")
    assert found["db"].labels["deploy.release"] == "8"


def test_replicas_that_differ_are_shown():
    same, other = made(), made(env={"A": "2"})
    assert "Others" not in containers.spec_of([same, made()])
    (shown,) = containers.spec_of([same, other])["Others"]
    assert shown["Env"] == {"A": "2"}


def test_a_restart_policy_that_was_lost_is_drift():
    applied = {"app": containers.spec_of([made()])}
    assert drift(applied, {"app": containers.spec_of([made()])}) == []
    (line,) = drift(applied, {"app": containers.spec_of([made(policy="no")])})
    assert line == "~ app.HostConfig.RestartPolicy.Name: unless-stopped -> no"


def test_only_what_serves_the_same_release_stays_in_place_of_new_replicas():
    new = made(release="1", generation="b", policy="no")
    assert containers.reusable([made(), new], [new], rolled=True) == [made()]
    for other in (
        made(release="2"),
        made(env={"A": "2"}),
        made(health="unhealthy"),
        made(policy="no"),
    ):
        assert containers.reusable([other, new], [new], rolled=True) == []


def test_a_database_stays_unless_it_is_another_one_or_unhealthy():
    new = made("db", release="2", policy="no")
    stopped = made("db", state="exited")
    assert containers.reusable([stopped, new], [new], rolled=False) == [stopped]
    for other in (made("db", env={"A": "2"}), made("db", health="unhealthy")):
        assert containers.reusable([other, new], [new], rolled=False) == []
