"""What must hold on one server, and on this machine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tasks.lib.orchestrators.compose import preflight


def host(**answers: str) -> Any:
    """A server whose scripts print what is given."""
    names = {preflight.LINGER: "linger", preflight.LOWEST: "port", preflight.FLOCK: "flock"}
    known = {script: answers.get(name, "") for script, name in names.items()}
    return SimpleNamespace(name="web1", run=lambda script, changes: known[script])


def test_several_servers_are_refused_with_the_name_of_what_joins_them():
    assert preflight.several([host()], 0) == []
    (problem,) = preflight.several([host()], 2)
    assert problem.startswith("web1: 3 servers - ") and "`swarm` joins several" in problem


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        *(("Docker Compose version v2.26.1-4", False), ("Docker Compose version 5.0.0", False)),
        *(("Docker Compose version v2.24.7", True), ("", True)),
    ],
)
def test_an_old_compose_of_this_machine_is_a_problem(shown, wrong):
    assert bool(preflight._plugin(shown)) is wrong


ROOTLESS = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}


@pytest.mark.parametrize(
    ("info", "answers", "words"),
    [
        ({}, {}, []),
        (ROOTLESS, {"linger": "yes\n", "port": "80"}, []),
        (ROOTLESS, {"linger": "no\n", "port": "0"}, ["enable-linger"]),
        (ROOTLESS, {"linger": "", "port": "1024"}, ["ip_unprivileged_port_start=80"]),
    ],
)
def test_a_rootless_engine_must_outlive_its_user_and_may_bind_port_80(info, answers, words, capfd):
    found = preflight._rootless(host(**answers), info)
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))
    assert ("one address for all clients" in capfd.readouterr().err) == bool(info)


def test_a_server_without_flock_is_a_problem():
    assert preflight._unlocked(host(flock="/usr/bin/flock\n")) == []
    (problem,) = preflight._unlocked(host())
    assert problem == "web1: no command flock - install the package util-linux there"


def test_limits_that_the_engine_does_not_keep_are_a_problem():
    assert preflight._limits("web1", {"MemoryLimit": True, "PidsLimit": True}) == []
    (problem,) = preflight._limits("web1", {"MemoryLimit": False, "PidsLimit": False})
    assert "no limit of memory and pids" in problem
