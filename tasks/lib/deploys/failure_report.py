"""Why a rollout failed: the replica's last lines, and the output of its health check."""

from __future__ import annotations

from .. import console
from ..orchestrators.base import Orchestrator
from .rollout import RolloutError


def report(orchestrator: Orchestrator, error: BaseException, why: str) -> str:
    """Show why a rollout failed; return why, with the health check's output.

    Args:
        error: what ended the rollout.
        why: the error in one line.
    """
    failure = error.failure if isinstance(error, RolloutError) else None
    if not failure:
        console.warn(f"{why}: rolling back")
        return why
    evidence = orchestrator.evidence(failure)
    why = f"{why}: {evidence.health}" if evidence.health else why
    console.warn(f"{why}: rolling back")
    console.say(f"  on {evidence.node}; its last lines:")
    for line in evidence.lines:
        console.say(f"    {line}")
    return why
