"""Which ports of a node are taken, and by what."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.lib.orchestrators.ports import published
from tasks.lib.orchestrators.swarm import ports

NODE = {
    "ID": "id-1",
    "Description": {"Hostname": "n1"},
    "Spec": {"Role": "manager", "Labels": {"app": "home"}},
}


def service(mode: str, *constraints: str) -> dict[str, Any]:
    """What docker says of a service that publishes a port."""
    port = {"PublishedPort": 80, "Protocol": "tcp", "PublishMode": mode}
    placement = {"Constraints": [*constraints]}
    return {"Spec": {"TaskTemplate": {"Placement": placement}, "EndpointSpec": {"Ports": [port]}}}


@pytest.mark.parametrize(
    ("found", "taken"),
    [
        (service("host"), True),
        (service("host", "node.labels.app == home"), True),
        (service("host", "node.labels.other == home"), False),
        (service("host", "node.hostname != n1"), False),
        (service("ingress", "node.labels.other == home"), True),
    ],
)
def test_a_service_has_its_port_on_nodes_that_it_may_be_on(found, taken):
    assert ports.published(found, NODE) == ({"80/tcp"} if taken else set())


def test_a_port_that_the_mesh_chose_counts():
    found = {"Spec": {"TaskTemplate": {}, "EndpointSpec": {"Ports": [{"TargetPort": 80}]}}}
    found["Endpoint"] = {"Ports": [{"PublishedPort": 30001, "Protocol": "udp"}]}
    assert ports.published(found, NODE) == {"30001/udp"}


def test_a_containers_ports_are_those_of_the_server():
    ports_ = [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 443, "Type": "tcp"},
        {"IP": "127.0.0.1", "PrivatePort": 90, "PublicPort": 9000, "Type": "udp"},
    ]
    assert published({"Ports": ports_}) == {"8080/tcp", "9000/udp"}
    assert published({"Ports": None}) == set()
