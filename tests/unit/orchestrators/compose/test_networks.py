"""What is there of a stack on its server, against what it says."""

from __future__ import annotations

import pytest

from tasks.lib.orchestrators.compose import rendering
from tasks.lib.orchestrators.compose.networks import made_otherwise
from tests.testbed.compose_files import own_stack

FOUND = {
    "Name": "myapp-prod_default",
    "Driver": "bridge",
    "Internal": False,
    "EnableIPv6": False,
    "Options": {"com.docker.network.driver.mtu": "1400"},
    "IPAM": {"Config": [{"Subnet": "172.20.0.0/16"}]},
}


@pytest.mark.parametrize(
    "wanted",
    [
        {"name": "myapp-prod_default"},
        {"driver": "bridge", "internal": False, "driver_opts": {}},
        {"driver_opts": {"com.docker.network.driver.mtu": 1400}},
        {"ipam": {"config": [{"subnet": "172.20.0.0/16"}]}},
    ],
)
def test_a_network_that_is_as_the_stack_says_is_no_problem(wanted):
    assert made_otherwise(FOUND, wanted) == ""
    assert made_otherwise({**FOUND, "Options": None, "IPAM": {"Config": None}}, {"name": "a"}) == ""


@pytest.mark.parametrize(
    ("wanted", "key"),
    [
        ({"driver": "macvlan"}, "driver"),
        ({"internal": True}, "internal"),
        ({"enable_ipv6": True}, "enable_ipv6"),
        ({"driver_opts": {"com.docker.network.driver.mtu": "9000"}}, "driver_opts"),
        ({"ipam": {"config": [{"subnet": "10.9.0.0/24"}]}}, "ipam"),
    ],
)
def test_a_network_that_docker_made_otherwise_is_a_problem(wanted, key):
    assert made_otherwise(FOUND, wanted) == key


@pytest.mark.engine
@pytest.mark.parametrize(("values", "wanted"), [({}, False), ({"IPV6": "true"}, True)])
def test_containers_have_addresses_of_ipv6_if_that_is_wanted(values, wanted):
    made = own_stack(rendering.render, "onehost", **values).content["networks"]["default"]
    assert bool(made.get("enable_ipv6")) is wanted
    assert bool(made_otherwise({**FOUND, "IPAM": {"Config": None}}, made)) is wanted
