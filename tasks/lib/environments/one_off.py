"""One-off jobs of an environment, on the image that runs there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

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


def as_owner(stack: Stack) -> dict[str, Any]:
    """Return the keys of a job that differ from the app's, so that it may change the schema.

    A stack of an earlier release, or with an external database, can have one role for all.
    """
    service, known = stack.services[stack.ours[0]], stack.content.get("secrets", {})
    owners = {key: owner for key, owner in contract.OWNERS.items() if owner in known}
    uses = [
        {"target": use["source"], **use, "source": owners.get(use["source"], use["source"])}
        for use in service.get("secrets", [])
    ]
    environment = {**service.get("environment", {})}
    if owner := environment.get(contract.OWNER):
        url = urlsplit(environment[contract.URL])
        where = f"{owner}@{url.netloc.rpartition('@')[2]}"
        environment[contract.URL] = url._replace(netloc=where).geturl()
    return {"secrets": uses, "environment": environment}


def manage(target: Target, command: list[str]) -> None:
    """Run a manage.py command in a one-off job of what runs, as the owner of the schema.

    Raises TaskError when it fails.
    """
    stack = running.known(target).stack
    if stack is None:
        raise TaskError("nothing runs yet", f"inv deploy --env={target.name}", ExitCode.REFUSED)
    with target.locked(f"runs manage.py {command[0]}") as lock:
        words = once_reached(stack, [contract.ENTRYPOINT, contract.MANAGE, *command], PATIENT)
        jobs = [Job(contract.MANAGE, words, speaks=True, overrides=as_owner(stack))]
        target.orchestrator.run_jobs(stack, jobs, target.settings.deploy.timeout, lock)
