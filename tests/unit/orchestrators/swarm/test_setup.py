"""How many of the servers manage the Swarm."""

from __future__ import annotations

import pytest

from tasks.lib.orchestrators.swarm import setup


@pytest.mark.parametrize(("hosts", "managers"), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (9, 5)])
def test_managers_are_an_odd_number(hosts, managers):
    assert setup.wanted_managers(hosts) == managers
