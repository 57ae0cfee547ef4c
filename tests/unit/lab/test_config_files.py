"""A lab's configuration files, by what runs its containers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.lib.lab import config_files
from tasks.lib.lab.state import State, new_state


@pytest.fixture(scope="module")
def state() -> State:
    """The state of a lab with a cluster of two servers, for three environments."""
    return new_state("172.30.0.0/16", 2, 3, ["SECRET_KEY"], "kubernetes")


def test_of_a_cluster_only_the_first_server_is_reached_from_here(state):
    services = config_files.compose(state, "shop-lab", "node:1")["services"]
    api, *sites = services["node1"]["ports"]
    assert api == f"127.0.0.1:{state.api}:6443"
    inner = [each.rpartition(":")[2] for each in sites]
    assert inner == [str(30080 + number) for number in range(len(state.http))]
    assert services["node2"]["ports"] == []


@pytest.mark.parametrize("kind", ["swarm", "kubernetes"])
def test_every_server_may_run_containers_and_reaches_the_registry(state, kind):
    made = replace(state, orchestrator=kind)
    services = config_files.compose(made, "shop-lab", "node:1")["services"]
    assert {*services} == {"registry", "mirror", "node1", "node2"}
    for name in ("node1", "node2"):
        node = services[name]
        assert (node["image"], node["cap_add"], node["hostname"]) == ("node:1", ["ALL"], name)
        assert f"{state.registry}=registry:5000" in node["environment"]["FORWARD"]
        assert node["volumes"][-1] == "/sys/fs/cgroup:/sys/fs/cgroup:rw"


def test_a_cluster_has_no_environments_of_invoke_yaml(state):
    assert config_files.overlay(state, "shop", ["lab"])["environments"] == {}
    swarm = config_files.overlay(replace(state, orchestrator="swarm"), "shop", ["lab"])
    assert [*swarm["environments"]] == ["lab"]
