"""An environment is removed from its servers."""

from __future__ import annotations

from .. import console
from .connection import Target


def remove(target: Target, volumes: bool) -> None:
    """Remove an environment's stack and folder; with volumes its data and secrets, too."""
    console.step(f"stopping {target.stack}")
    target.orchestrator.remove(volumes)
    target.first.run('rm -rf -- "$1"', target.path)
