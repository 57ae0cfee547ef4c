"""What the Compose files are filled in with for an environment."""

from __future__ import annotations

import pytest

from tasks.lib.deploys import rendering


def test_https_is_for_a_name_and_http_for_any():
    assert rendering.address("https://example.com") == "example.com"
    assert rendering.address("http://127.0.0.1:8080") == ":80"


@pytest.mark.parametrize(
    ("replicas", "servers", "at_a_time"),
    [(1, 1, 2), (2, 1, 2), (16, 1, 4), (2, 3, 1), (3, 3, 1), (8, 3, 2), (16, 3, 4)],
)
def test_few_replicas_on_several_servers_are_replaced_one_by_one(replicas, servers, at_a_time):
    assert rendering.at_a_time(replicas, servers) == at_a_time
