"""The image with the tools for backups, and the jobs that run in it beside the database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..environments.connection import Target
from ..environments.running import known
from ..errors import ExitCode, TaskError
from ..orchestrators.base import Guard, Job
from ..orchestrators.stack import Stack
from ..project import contract

# What the tools have done, as the last line of their output; see docker/data/__main__.py.
ANSWER = '{"done":'
# What a job has of the service that makes the backups.
SAME = (
    *("image", "environment", "secrets", "user", "volumes", "tmpfs", "cap_drop", "cap_add"),
    "read_only",
)
# The secret with the key of one backup, for the time of a restore.
KEY = "BACKUP_KEY"


def stack(target: Target) -> Stack:
    """Return what runs, with the service of backups. Raises TaskError if there is none."""
    found = known(target).stack
    if found is None or contract.BACKUP not in found.services:
        hint = (
            f"set backup.every and deploy.recipients in invoke.yaml; inv deploy --env={target.name}"
        )
        raise TaskError(f"{target.name} has no backups", hint, ExitCode.REFUSED)
    return found


def job(stack: Stack, *words: str, secrets: Sequence[Mapping[str, Any]] = ()) -> Job:
    """Return the job that runs the tools as the service of backups does.

    Args:
        secrets: what it gets besides.
    """
    service = stack.services[contract.BACKUP]
    same: dict[str, Any] = {key: service.get(key, []) for key in SAME}
    same["secrets"] = [*same["secrets"], *secrets]
    deploy = {"placement": service["deploy"].get("placement", {})}
    return Job(contract.BACKUP, words, overrides={**same, "deploy": deploy})


def run(target: Target, stack: Stack, guard: Guard, *words: str, key: str = "") -> Any:
    """Run the tools in a job; return what they have done.

    Args:
        key: the backup's own key, which the job has in a secret that is deleted afterwards.
    Raises TaskError when they fail.
    """
    limit = target.settings.backup.timeout
    if not key:
        jobs = [job(stack, *words)]
        return _done(target.orchestrator.run_jobs(stack, jobs, limit, guard, ANSWER))
    try:
        version = target.orchestrator.set_secret(KEY, key)
        use = {"source": KEY, "target": KEY, "uid": "0", "gid": "0", "mode": 0o400}
        named = stack.content["secrets"] | {KEY: {"external": True, "name": version}}
        whole = replace(stack, content={**stack.content, "secrets": named})
        jobs = [job(stack, *words, secrets=[use])]
        return _done(target.orchestrator.run_jobs(whole, jobs, limit, guard, ANSWER))
    finally:
        target.orchestrator.remove_secret(KEY)


def ask(target: Target, *words: str) -> Any:
    """Return what the tools answer in the service of backups, where no job is needed.

    Raises TaskError if it does not run.
    """
    shown = target.orchestrator.inside(contract.BACKUP, f"python3 /opt/data {' '.join(words)}")
    if not shown:
        hint = f"inv status --env={target.name}"
        raise TaskError("the service of backups is not reached", hint)
    return _done(shown.splitlines()[-1])


def _done(line: str) -> Any:
    return json.loads(line)["done"]
