"""One-off jobs of an environment, on the image that runs there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ExitCode, TaskError
from ..orchestrators.base import Job
from . import history

if TYPE_CHECKING:
    from ..orchestrators.stack import Stack
    from .connection import Target

PENDING, REACH = (Path(__file__).parents[1] / f"{name}.py" for name in ("pending", "reach"))
# $0 is REACH and $1 has names of services; a command follows. A person who repairs what cannot be
# reached gets the command all the same, some seconds later.
REACHED = 'python -c "$0" $1 && shift && exec "$@"'
WAITED = 'timeout 30 python -c "$0" $1; shift; exec "$@"'


def once_reached(stack: Stack, command: Sequence[str], script: str = REACHED) -> list[str]:
    """Return a job's command that begins when its server can reach what the app needs.

    Args:
        script: REACHED, or WAITED for one that begins after half a minute at the latest.
    """
    return ["sh", "-c", script, REACH.read_text("utf-8"), " ".join(stack.backing), *command]


def manage(target: Target, command: list[str]) -> None:
    """Run a manage.py command in a one-off container of the image that runs.

    Raises TaskError when it fails.
    """
    record = history.current(target.history.read())
    if record is None:
        hint = f"inv deploy --env={target.name}"
        raise TaskError("nothing runs yet", hint, ExitCode.REFUSED)
    stack = target.history.stack(record, target.stack)
    with target.locked(f"runs manage.py {command[0]}") as lock:
        words = ["/app/docker/entrypoint", "manage", *command]
        job = Job("manage", once_reached(stack, words, WAITED))
        target.orchestrator.run_jobs(stack, [job], target.settings.deploy.timeout, lock)
