"""An environment is removed from its servers."""

from __future__ import annotations

from .. import console
from ..errors import TaskError
from ..images import deployed
from .connection import Target
from .dynamic import short


def remove(target: Target, volumes: bool) -> None:
    """Remove an environment's stack, folder and deploy tags; with volumes its data and secrets."""
    console.step(f"stopping {target.stack}")
    target.orchestrator.remove(volumes)
    target.first.run('rm -rf -- "$1"', target.path)
    try:
        deployed.forget_all(target.registry, short(target.name))
    except TaskError as error:
        console.warn(f"its tags of deploys stay in the registry: {error}")
