"""Docker on a bare server: its packages, and daemon.json, in which what others set stays."""

from __future__ import annotations

import json

import pytest

from tasks.lib.errors import TaskError
from tasks.lib.orchestrators import daemon, installation
from tasks.lib.orchestrators.daemon import ROTATION
from tasks.lib.provisioning.facts import Facts

NEW = {"no-new-privileges": True}
LOCAL = {"log-driver": "local", "log-opts": ROTATION}
FACTS = Facts("ops", "ubuntu", "debian", "noble", "systemd", "yes", "10.0.0.1", 22)


@pytest.mark.parametrize(
    ("there", "added"),
    [
        ({}, LOCAL | NEW),
        ({"data-root": "/srv", "registry-mirrors": ["https://m"]}, LOCAL | NEW),
        ({"log-driver": "journald"}, NEW),
        ({"log-driver": "local"}, NEW),
        ({"log-driver": "json-file"}, {"log-opts": ROTATION} | NEW),
        ({"log-driver": "json-file", "log-opts": {"max-size": "1m"}}, NEW),
        ({"log-opts": {"max-size": "1m"}}, NEW),
        ({"log-opts": {"labels": "a"}}, {"log-opts": {"labels": "a"} | ROTATION} | NEW),
        ({"no-new-privileges": True, "log-driver": "syslog"}, {}),
    ],
)
def test_keys_are_added_and_the_choices_of_others_stay(there, added):
    assert daemon.additions(there) == added
    assert daemon.additions(there | added) == {}
    differs = daemon.configuration(swarm=True).compare(json.dumps(there))
    assert [each.hint for each in differs] == [""] * bool(added)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"live-restore": true}', "live-restore does not work with a Swarm"),
        ('{"no-new-privileges": false}', "containers may gain privileges"),
        ("{,}", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"log-opts": 5}', "cannot be read"),
    ],
)
def test_what_we_cannot_decide_needs_a_person(text, what):
    (found, *_) = daemon.configuration(swarm=True).compare(text)
    assert what in found.what and found.hint


def test_only_a_swarm_cannot_keep_containers_while_docker_restarts():
    assert daemon.conflicts({"live-restore": False}, swarm=True) == []
    assert daemon.conflicts({"live-restore": True}, swarm=False) == []


@pytest.mark.parametrize(
    ("state", "what", "person"),
    [
        ("none", "not installed", False),
        ("none (none)", "not installed", False),
        ("none 26.1.5+dfsg1-9", "not installed", False),
        ("none 20.10.24+dfsg1-1", "the distribution has docker.io 20.10.24+dfsg1-1", True),
        ("Docker version 26.1.5+dfsg1, build 411e817", "", False),
        ("Docker version 29.0.1, build abc", "", False),
        ("Docker version 20.10.24+dfsg1, build 297e128", "Docker 20.10 is too old", True),
    ],
)
def test_an_engine_that_is_new_enough_stays(state, what, person):
    found = installation.docker(FACTS, installation.DISTRIBUTION).compare(state)
    assert [each.what.startswith(what) and bool(each.hint) for each in found] == [person] * bool(
        what
    )


def test_dockers_own_packages_are_taken_where_the_distributions_are_old():
    found = installation.docker(FACTS, "https://example.com/linux").compare("none 20.10.24+dfsg1-1")
    assert [(each.what, each.hint) for each in found] == [("not installed", "")]


def test_a_version_of_another_form_is_an_error():
    with pytest.raises(TaskError, match="unexpected state"):
        installation.docker(FACTS, installation.DISTRIBUTION).compare("podman 5")


def test_dockers_own_repository_is_that_of_the_system():
    script = installation.docker(FACTS, "https://example.com/linux").make("none")
    assert "https://example.com/linux/ubuntu/gpg" in script
    assert "docker-ce docker-ce-cli containerd.io" in script


@pytest.mark.parametrize(
    ("state", "what", "hint"),
    [
        ("ready", [], []),
        ("down", ["not running"], [""]),
        ("stale 0", [f"Docker has not read {daemon.CONFIG} since it was changed"], [""]),
    ],
)
def test_an_engine_is_started_and_restarted_while_nothing_runs(state, what, hint):
    found = installation.engine().compare(state)
    assert ([each.what for each in found], [each.hint for each in found]) == (what, hint)


def test_an_engine_with_containers_is_not_restarted():
    (found,) = installation.engine().compare("stale 7")
    assert found.hint == "that stops its containers (7); there: sudo systemctl restart docker"
