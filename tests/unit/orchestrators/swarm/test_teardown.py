"""A stack that is removed gets the time that its services need to stop."""

from __future__ import annotations

from typing import Any

from tasks.lib.orchestrators.swarm import teardown


def service(**spec: int) -> dict[str, Any]:
    """A service as docker shows it."""
    return {"Spec": {"TaskTemplate": {"ContainerSpec": spec}}}


def test_the_service_that_may_stop_last_sets_the_time():
    found = [service(StopGracePeriod=90 * 10**9), service(StopGracePeriod=10**9), service()]
    assert teardown.patience(found) == teardown.TIMEOUT + 90
    assert teardown.patience([]) == teardown.TIMEOUT
