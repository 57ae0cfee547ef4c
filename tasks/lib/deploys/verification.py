"""Whether a release answers: at its address, or on its server where that must be enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..environments import healthcheck, server_check
from ..environments.connection import Target
from ..environments.records import FAILED, UNDONE, Record
from ..orchestrators.stack import Stack

if TYPE_CHECKING:
    from .deployment import Deployment


def make_up(target: Target, records: Sequence[Record], runs: Record) -> None:
    """Check at its address what runs and was asked on its server only; record that.

    What runs is what is wanted: that a deploy failed since then is closed, too.

    Raises TaskError if it does not answer.
    """
    if target.verify_url and not runs.url_verified:
        _from_outside(target, runs)
        runs = replace(runs, url_verified=True)
        target.history.write(runs)
    newest = runs if records[0].number == runs.number else records[0]
    if newest.state in (FAILED, UNDONE) and not newest.closed:
        target.history.write(replace(newest, closed=True))


def verify(deployment: Deployment, stack: Stack, record: Record) -> None:
    """Check that a release answers; note it if its address is not reached from here.

    Raises TaskError if it does not answer. What an undo brings back is then asked on its server.
    """
    target = deployment.target
    if not (deployment.record.url_verified and record.url_verified):
        return server_check.verify(target, stack, record.revision)
    try:
        _from_outside(target, record)
    except healthcheck.NotReached:
        deployment.note(url_verified=False)
        raise


def _from_outside(target: Target, record: Record) -> None:
    probes, replicas = target.settings.app.probes, target.environment.replicas
    timeout = target.settings.deploy.timeout
    healthcheck.verify(target.url, probes, record.revision, replicas, timeout)
