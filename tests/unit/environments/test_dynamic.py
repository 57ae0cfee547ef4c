"""Environments that come and go: what they are called, and which port each takes."""

from __future__ import annotations

import msgspec
import pytest

from tasks.lib.environments import dynamic
from tasks.lib.errors import TaskError

PORTS = [8001, 8002, 8003]


def test_a_site_keeps_its_port_and_a_new_one_takes_one_that_is_free():
    ports = {"app-review-old": {8002}, "other": {8003, 443}}
    assert dynamic.choose("HTTP_PORT", PORTS, ports, "app-review-old") == 8002
    assert dynamic.choose("HTTP_PORT", PORTS, ports, "app-review-new") == 8001


def test_without_a_port_left_it_is_refused():
    ports = {"one": {8001}, "two": {8002}, "three": {8003}}
    with pytest.raises(TaskError, match="every port of HTTP_PORT is taken"):
        dynamic.choose("HTTP_PORT", PORTS, ports, "app-review-new")


def test_a_site_may_have_its_name_in_its_address(world):
    prod = world.target.environment
    named = msgspec.structs.replace(prod, url="https://{NAME}.example.com:{HTTP_PORT}")
    made = dynamic.addressed(named, "review/my-branch")
    assert made.url == "https://review-my-branch.example.com:{HTTP_PORT}"
    assert dynamic.addressed(prod, "prod") == prod


def test_sites_begin_at_different_ports():
    chosen = {dynamic.choose("HTTP_PORT", PORTS, {}, f"app-review-{n}") for n in range(20)}
    assert chosen == set(PORTS)


def test_two_values_never_take_the_same_port(world):
    prod = world.target.environment
    values = {"HTTP_PORT": PORTS, "HTTPS_PORT": PORTS}
    both = msgspec.structs.replace(prod, values=values, url="http://example.com:{HTTP_PORT}")
    for n in range(10):
        made = dynamic.assign_ports(both, world.target.orchestrator, f"app-review-{n}").values
        assert made["HTTP_PORT"] != made["HTTPS_PORT"]


def test_a_port_that_another_process_has_is_not_taken(world):
    others = {"another process": {"8001/tcp", "8003/udp"}}
    world.target.orchestrator.inner.cluster.others = others
    review = msgspec.structs.replace(world.target.environment, values={"HTTP_PORT": PORTS})
    made = dynamic.assign_ports(review, world.target.orchestrator, "app-review-x")
    assert made.values["HTTP_PORT"] == 8002
