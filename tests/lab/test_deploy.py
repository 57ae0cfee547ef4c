"""`inv deploy` and `inv rollback` to a real Swarm, when all goes well: nobody notices."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.engine


def test_the_first_deploy_starts_all_from_nothing(site):
    assert site.services() == ["app", "beat", "db", "proxy", "redis", "worker"]
    site.serves(site.good)
    assert site.get("/")[0] == 200
