"""Environments that come and go: what they are called, and which port each takes."""

from __future__ import annotations

import pytest

from tasks.lib.environments import dynamic
from tasks.lib.errors import TaskError

PORTS = [8001, 8002, 8003]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("prod", "prod"),
        ("a-plain-name-that-is-quite-long", "a-plain-name-that-is-quite-long"),
        ("review/fix", "review-fix"),
        ("review/42-a-name-that-is-too-long", "review-42-a-name-a558c8"),
    ],
)
def test_a_name_is_short_enough_for_what_docker_makes_of_it(name, short):
    assert dynamic.short(name) == short


def test_two_long_names_that_begin_alike_stay_apart():
    long = "review/42-the-same-beginning-of-two-branches"
    assert dynamic.short(f"{long}-one") != dynamic.short(f"{long}-two")


def test_a_site_keeps_its_port_and_a_new_one_takes_one_that_is_free():
    ports = {"app-review-old": {8002}, "other": {8003, 443}}
    assert dynamic.choose("HTTP_PORT", PORTS, ports, "app-review-old") == 8002
    assert dynamic.choose("HTTP_PORT", PORTS, ports, "app-review-new") == 8001


def test_without_a_port_left_it_is_refused():
    ports = {"one": {8001}, "two": {8002}, "three": {8003}}
    with pytest.raises(TaskError, match="every port of HTTP_PORT is taken"):
        dynamic.choose("HTTP_PORT", PORTS, ports, "app-review-new")


def test_sites_begin_at_different_ports():
    chosen = {dynamic.choose("HTTP_PORT", PORTS, {}, f"app-review-{n}") for n in range(20)}
    assert chosen == set(PORTS)
