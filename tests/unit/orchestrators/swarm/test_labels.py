"""Which nodes belong to a stack, by their labels and by constraints on them."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.lib.orchestrators.swarm import labels

OURS = "node.labels.app.server == yes"


class Docker:
    """Keeps the commands that it is given."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []

    def run(self, *words: str) -> None:
        """Keep a command."""
        self.commands.append(words)


def node(name: str, **values: str) -> dict[str, Any]:
    """What docker says of a node with some of the stack's labels."""
    known = {"home": "app", "server": "app.server", "zone": "zone"}
    made = {known[key]: value for key, value in values.items()}
    return {
        "ID": f"id-{name}",
        "Description": {"Hostname": name},
        "Spec": {"Role": "manager", "Labels": made},
    }


@pytest.mark.parametrize(
    ("given", "placed"),
    [
        ([], [OURS]),
        (["node.labels.app == home"], ["node.labels.app == home"]),
        ([OURS], [OURS]),
        (["node.labels.zone==eu"], ["node.labels.zone==eu", OURS]),
        (["node.labels.app2 == home"], ["node.labels.app2 == home", OURS]),
    ],
)
def test_a_service_stays_on_its_stacks_servers(given, placed):
    assert labels.placed("app", given) == placed


@pytest.mark.parametrize(
    ("constraint", "admits"),
    [
        ("node.labels.zone == eu", True),
        ("node.labels.zone==EU", True),
        ("node.labels.zone != eu", False),
        ("node.labels.other == eu", False),
        ("node.labels.other != eu", True),
        ("node.hostname == n2", False),
        ("node.role == manager", True),
        ("node.platform.os == windows", True),
    ],
)
def test_constraints_admit_a_node_as_far_as_they_are_understood(constraint, admits):
    assert labels.admits([constraint], node("n1", zone="eu")) == admits


def test_servers_are_labelled_once_and_one_that_left_is_noted():
    docker, nodes = Docker(), [node("n1"), node("n2", server="yes"), node("n3", server="yes")]
    servers = {"id-n1": "deploy@one", "id-n2": "deploy@two"}
    assert list(labels.mark(docker, nodes, servers, "app", whole=True)) == [
        "deploy@one: home of app: its proxy and its database",
        "deploy@one: a server of app",
        "n3: no longer a server of app; its volumes stay there",
    ]
    changes = {(words[-2], words[-1]) for words in docker.commands}
    assert changes == {
        ("app=home", "id-n1"),
        ("app.server=yes", "id-n1"),
        ("app.server=former", "id-n3"),
    }
    nodes = [node("n1", home="home", server="yes"), nodes[1], node("n3", server="former")]
    assert list(labels.mark(docker, nodes, servers, "app", whole=True)) == []


def test_a_server_that_is_down_stays_a_server():
    nodes = [node("n1", home="home", server="yes"), node("n2", server="yes")]
    assert list(labels.mark(Docker(), nodes, {"id-n1": "one"}, "app", whole=False)) == []


def test_what_set_up_would_repair_is_a_problem():
    nodes = [node("n1", home="home"), node("n2", server="former")]
    servers = {"one": "id-n1", "two": "id-n2", "three": "id-elsewhere"}
    assert labels.problems(nodes, servers, "app", "inv server.setup --env=x", whole=True) == [
        "three: not in the Swarm of the first server - inv server.setup --env=x",
        "one: its node lacks the label app.server=yes - inv server.setup --env=x",
        "two: its node lacks the label app.server=yes - inv server.setup --env=x",
    ]


def test_data_on_a_node_that_is_no_server_is_a_problem_unless_a_server_is_down():
    nodes = [node("n1", home="home"), node("n2", server="yes")]
    (problem,) = labels.problems(nodes, {"two": "id-n2"}, "app", "setup", whole=True)
    assert problem == "n1 has the data of app - add it to `hosts` in invoke.yaml"
    assert labels.problems(nodes, {"two": "id-n2"}, "app", "setup", whole=False) == []


def test_nodes_with_data_that_are_not_reached_are_found():
    nodes = [node("n1", home="home"), node("n2", server="former"), node("n3"), node("n4", zone="x")]
    assert labels.outside(nodes, "app", {"id-n1"}) == [nodes[1]]


def test_the_nodes_of_others_do_not_count_once_there_are_labels():
    nodes = [node("n1", home="home"), node("n2", server="yes"), node("n3", server="former")]
    assert labels.own([*nodes, node("n4")], "app") == nodes[:2]
    before = [node("n1", home="home"), node("n2")]
    assert labels.own(before, "app") == before
