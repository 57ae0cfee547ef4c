"""An environment is removed from its servers."""

from __future__ import annotations

from .. import console
from ..errors import ExitCode, TaskError
from .connection import Target


def remove(target: Target, volumes: bool) -> None:
    """Remove an environment's stack and folder; with volumes its data and secrets, too.

    Raises TaskError with exit status 3, a line for each server on which data is left.
    """
    console.step(f"stopping {target.stack}")
    left = target.orchestrator.remove(volumes)
    target.first.run('rm -rf -- "$1"', target.path)
    if left:
        raise TaskError("\ninv: ".join(left), code=ExitCode.PERSON)
