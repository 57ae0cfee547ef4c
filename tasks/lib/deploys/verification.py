"""Whether a release answers: at its address, or on its server where that must be enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..environments import healthcheck, server_check
from ..environments.records import Record
from ..orchestrators.stack import Stack

if TYPE_CHECKING:
    from .deployment import Deployment


def verify(deployment: Deployment, stack: Stack, record: Record) -> None:
    """Check that a release answers; note it if its address is not reached from here.

    Raises TaskError if it does not answer. What an undo brings back is then asked on its server.
    """
    target = deployment.target
    if not (deployment.record.url_verified and record.url_verified):
        return server_check.verify(target, stack, record.revision)
    timeout = min(healthcheck.PATIENCE, target.settings.deploy.timeout)
    try:
        healthcheck.verify(target.url, record.revision, target.environment.replicas, timeout)
    except healthcheck.NotReached:
        deployment.note(url_verified=False)
        raise
