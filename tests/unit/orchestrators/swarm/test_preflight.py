"""What must hold on a Swarm's servers before a deploy."""

from __future__ import annotations

import pytest

from tasks.lib.orchestrators.preflight import outdated
from tasks.lib.orchestrators.swarm import preflight


@pytest.mark.parametrize("version", ["26.0.0", "26.1.5+dfsg1", "28.2.2", "100.0.0-rc.1"])
def test_docker_of_today_is_taken(version):
    assert outdated("web1", version) == []


@pytest.mark.parametrize("version", ["25.0.5", "0.0"])
def test_docker_that_is_too_old_is_told(version):
    (problem,) = outdated("web1", version)
    assert problem == f"web1: Docker {version} is too old - install 26.0 or later"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"ControlAvailable": True}, ""),
        ({"LocalNodeState": "active"}, "web1: not a Swarm manager (active) - inv server.setup"),
        ({}, "web1: not a Swarm manager (inactive) - inv server.setup"),
    ],
)
def test_a_server_that_manages_no_swarm_is_told(part, expected):
    assert preflight.not_manager("web1", {"Swarm": part}, "inv server.setup") == expected
