"""An environment is removed from its servers."""

from __future__ import annotations

from .. import console
from ..errors import ExitCode, TaskError
from ..images import deployed
from ..project.names import short
from .connection import Target


def remove(target: Target, volumes: bool) -> None:
    """Remove an environment's stack, history and deploy tags; with volumes its data and secrets.

    Raises TaskError with exit status 3, a line for each server on which data is left.
    """
    console.step(f"stopping {target.stack}")
    left = target.orchestrator.remove(volumes)
    target.store.remove()
    try:
        deployed.forget_all(target.registry, short(target.name))
    except TaskError as error:
        console.warn(f"its tags of deploys stay in the registry: {error}")
    if left:
        raise TaskError("\ninv: ".join(left), code=ExitCode.PERSON)
