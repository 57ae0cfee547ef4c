"""daemon.json: keys are added, those of others stay, and what a Swarm cannot have is named."""

from __future__ import annotations

import json

import pytest

from tasks.lib.errors import TaskError
from tasks.lib.orchestrators.swarm import daemon, engine
from tasks.lib.orchestrators.swarm.daemon import ROTATION
from tasks.lib.provisioning import firewall
from tasks.lib.provisioning.facts import Facts
from tasks.lib.provisioning.firewall import Traffic
from tests.orchestrators.servers import LocalHost

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
    differs = daemon.configuration().compare(json.dumps(there))
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
    (found, *_) = daemon.configuration().compare(text)
    assert what in found.what and found.hint


def test_no_live_restore_is_no_conflict():
    assert daemon.conflicts({"live-restore": False}) == []


def test_the_addresses_of_nodes_are_read():
    shown = "0.0.0.0 10.0.0.1:2377\n10.0.0.2 \n10.0.0.3 10.0.0.3:2377\n"
    assert engine.addresses(shown) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert engine.addresses("fd00::1 [fd00::1]:2377\nfd00:0::2 ") == {"fd00::1", "fd00::2"}
    assert engine.addresses("") == set()


def test_peers_are_those_of_the_swarm_or_else_those_of_the_rules():
    swarm, rules = (
        "swarm\n10.0.0.1 10.0.0.1:2377\n10.0.0.9 \n",
        "rules\n10.0.0.1, 10.0.0.2\nfd00::2\n",
    )
    assert engine.peers_of([swarm, rules]) == {"10.0.0.1", "10.0.0.9"}
    assert engine.peers_of([rules, "rules\n"]) == {"10.0.0.1", "10.0.0.2", "fd00::2"}


def test_the_rules_that_are_there_are_read(tmp_path):
    traffic = Traffic(["10.0.0.2", "10.0.0.1", "fd00::2"], tcp=[2377], udp=[7946])
    (tmp_path / "rules").write_text(firewall.rules({"22/tcp"}, traffic))
    script = engine.NODES.replace(firewall.FILE, str(tmp_path / "rules"))
    shown = LocalHost(tmp_path).run(f"docker() {{ false; }}; timeout() {{ false; }}\n{script}")
    assert engine.peers_of([shown]) == {*traffic.peers}


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
    found = engine.docker(FACTS, engine.DISTRIBUTION).compare(state)
    assert [each.what.startswith(what) and bool(each.hint) for each in found] == [person] * bool(
        what
    )


def test_dockers_own_packages_are_taken_where_the_distributions_are_old():
    found = engine.docker(FACTS, "https://example.com/linux").compare("none 20.10.24+dfsg1-1")
    assert [(each.what, each.hint) for each in found] == [("not installed", "")]


def test_a_version_of_another_form_is_an_error():
    with pytest.raises(TaskError, match="unexpected state"):
        engine.docker(FACTS, engine.DISTRIBUTION).compare("podman 5")


def test_dockers_own_repository_is_that_of_the_system():
    script = engine.docker(FACTS, "https://example.com/linux").make("none")
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
    found = engine.engine().compare(state)
    assert ([each.what for each in found], [each.hint for each in found]) == (what, hint)


def test_an_engine_with_containers_is_not_restarted():
    (found,) = engine.engine().compare("stale 7")
    assert found.hint == "that stops its containers (7); there: sudo systemctl restart docker"
