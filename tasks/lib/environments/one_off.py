"""One-off jobs of an environment, on the image that runs there."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ExitCode, TaskError
from ..orchestrators.base import Job
from ..orchestrators.stack import Stack
from ..project import contract
from . import running
from .connection import Target

# Options of the role `wait`: who repairs what cannot be reached gets the command all the same.
PATIENT = ("--at-most", "30")


def once_reached(stack: Stack, command: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """Return a job's command that begins when its server can reach what the app needs."""
    return [contract.WAIT, *options, *stack.backing, "--", *command]


def manage(target: Target, command: list[str]) -> None:
    """Run a manage.py command in a one-off job of what runs. Raises TaskError when it fails."""
    stack = running.known(target).stack
    if stack is None:
        raise TaskError("nothing runs yet", f"inv deploy --env={target.name}", ExitCode.REFUSED)
    with target.locked(f"runs manage.py {command[0]}") as lock:
        words = once_reached(stack, [contract.ENTRYPOINT, contract.MANAGE, *command], PATIENT)
        jobs = [Job(contract.MANAGE, words)]
        target.orchestrator.run_jobs(stack, jobs, target.settings.deploy.timeout, lock)
