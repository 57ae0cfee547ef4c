"""Why a rollout failed: the replica's last lines, and the output of its health check."""

from __future__ import annotations

from .. import console
from ..orchestrators.base import Orchestrator
from .rollout import RolloutError


def report(orchestrator: Orchestrator, error: BaseException, why: str) -> str:
    """Show why a rollout failed; return why, in one line, with the health check's output."""
    failure = error.failure if isinstance(error, RolloutError) else None
    evidence = orchestrator.evidence(failure) if failure else None
    if evidence and evidence.health:
        why += f": {evidence.health}"
    console.warn(f"{why}: rolling back")
    if evidence:
        lines = "".join(f"\n    {line}" for line in evidence.lines)
        console.say(f"  on {evidence.node}; its last lines:{lines}")
    return why
