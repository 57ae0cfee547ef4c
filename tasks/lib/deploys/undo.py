"""Undo: what ran before runs again, all of it, when a rollout fails or is interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import console
from ..environments import releases
from ..environments.lock import LockLost
from ..environments.records import FAILED, UNDONE
from ..errors import ExitCode, TaskError, explain
from ..orchestrators.jobs import JobError
from ..orchestrators.status import Evidence
from ..registry.reference import short
from . import verification
from .rollout import RolloutError, roll

if TYPE_CHECKING:
    from .deployment import Deployment


def undo(deployment: Deployment, error: BaseException) -> TaskError:
    """Go back to what ran before; return the error that ends the deploy.

    Raises LockLost when another deploy holds the lock: then all is left as it is.
    """
    name, why = deployment.target.name, explain(error)
    try:
        why = report(deployment, error, why)
        state = bring_back(deployment)
    except LockLost:
        deployment.note(state=FAILED)
        raise
    except (Exception, KeyboardInterrupt) as second:
        deployment.note(state=FAILED)
        what = f"{why}; automatic rollback also failed ({explain(second)})"
        hint = f"check inv status --env={name}, then redeploy"
        if deployment.record.backup:
            hint += f"; the database before the migration: backup {deployment.record.backup}"
        return TaskError(what, hint, ExitCode.PERSON)
    deployment.note(state=UNDONE)
    more = f"inv logs --env={name}"
    if deployment.kept:
        more = f"inv history.show --env={name} --number={deployment.record.number}"
    return TaskError(f"{why}; {state}", f"{more} shows more")


def report(deployment: Deployment, error: BaseException, why: str) -> str:
    """Show why a rollout failed, and what is left of the replica; return why, in one line."""
    evidence = left(deployment, error)
    if evidence and evidence.health:
        why += f": {evidence.health}"
    console.warn(f"{why}: rolling back")
    if evidence:
        console.say(releases.left(evidence))
    return why


def left(deployment: Deployment, error: BaseException) -> Evidence | None:
    """Return what is left of a replica or job that failed, and record it before it is gone.

    That it cannot be recorded keeps from no undo.
    """
    if isinstance(error, JobError):
        found = error.evidence
    elif isinstance(error, RolloutError) and error.failure:
        found = deployment.target.orchestrator.evidence(error.failure)
    else:
        return None
    try:
        deployment.target.history.write_evidence(deployment.record, found)
        deployment.kept = True
    except Exception as second:
        console.warn(f"its last lines are not recorded: {explain(second)}")
    return found


def bring_back(deployment: Deployment) -> str:
    """Bring back what ran before, on all services; return what runs then."""
    target, lock, now = deployment.target, deployment.lock, deployment.now
    if now.record is None or now.stack is None:
        lock.confirm()
        target.orchestrator.remove_services(deployment.stack.ours)
        return "nothing of the app runs, as before"
    # The soak goes on until no replica of the failed version answers any more.
    roll(target, now.stack, target.settings.deploy.soak, lock, back=True)
    verification.verify(deployment, now.stack, now.record)
    return f"rolled back: release {now.record.number} ({short(now.record.digest)}) is running again"
