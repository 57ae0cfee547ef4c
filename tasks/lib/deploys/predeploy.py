"""Before the app's replicas are touched: backing services, checks, backup, migrations."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import console
from ..data import backups, tools
from ..environments.one_off import as_owner, once_reached
from ..errors import explain
from ..orchestrators.base import Job
from ..orchestrators.stack import Stack
from ..project import contract
from . import database
from .rollout import roll

if TYPE_CHECKING:
    from .deployment import Deployment

# A migration that waits for a lock on a table blocks all queries after it: not for long. And one
# whose job was ended does not go on.
SESSION = "-c lock_timeout=5s -c client_connection_check_interval=1s"


def run(deployment: Deployment) -> None:
    """Do all that comes before the first of the app's replicas is touched."""
    target, stack = deployment.target, deployment.stack
    if deployment.record.kind != "deploy":
        return _let_in(deployment)
    deployment.switch()
    if stopped := [name for name in stack.backing if _is_stopped(deployment, name)]:
        console.step(f"starting {', '.join(stopped)}")
        roll(target, stack.only(stopped), 0, deployment.lock, prune=False)
    if contract.REDIS not in stopped:
        deployment.ahead = with_running(stack, deployment.now.stack, contract.REDIS_LOGIN)
    database.set_up_roles(deployment)
    console.step("checking the image on the servers")
    check = Job(contract.CHECK, [contract.CHECK, *stack.backing])
    found = json.loads(deployment.jobs([check, static(stack)], contract.ANSWER))
    if found["pending"]:
        _migrate(deployment, found)


def _is_stopped(deployment: Deployment, name: str) -> bool:
    """Return whether nothing of a service runs, such as one that was scaled to nothing by hand."""
    service = deployment.now.services.get(name)
    state = service.progress if service else None
    return not state or not (state.healthy or state.starting or state.old)


def _let_in(deployment: Deployment) -> None:
    """Let the backups of an older release log in again, if their password has changed since."""
    if database.password(deployment.now.stack) == database.password(deployment.stack):
        return
    try:
        database.set_up_roles(deployment)
    except Exception as error:
        console.warn(f"backups cannot log in before the next deploy: {explain(error)}")


def with_running(stack: Stack, old: Stack | None, secret: str) -> Stack:
    """Return a stack for jobs before the rollout: a service that runs knows its own password."""
    known, held = stack.content["secrets"], old.content.get("secrets", {}) if old else {}
    same = {secret: held[secret]} if secret in known and secret in held else {}
    return replace(stack, content={**stack.content, "secrets": {**known, **same}})


def static(stack: Stack) -> Job:
    """Return the job that copies the static files to every server: each may get a replica."""
    copying = [contract.ENTRYPOINT, contract.STATIC, contract.STATIC_FOLDER]
    overrides = {"user": "0:0", "volumes": [_volume(contract.STATIC_FILES, contract.STATIC_FOLDER)]}
    return Job(contract.STATIC, once_reached(stack, copying), everywhere=True, overrides=overrides)


def _migrate(deployment: Deployment, found: dict[str, Any]) -> None:
    """Migrate the database, with a backup before."""
    pending, final = found["pending"], found["final"]
    if contract.BACKUP in deployment.stack.services:
        console.step("backing up the database")
        deployment.record_ahead(backup=_encrypted(deployment))
    elif contract.DATABASE in deployment.stack.services:
        console.step("backing up the database")
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        count = deployment.target.settings.deploy.backups
        count, named = database.kept(deployment.now.records, count)
        deployment.jobs([database.backup(deployment.stack, name, count, named)])
        deployment.record_ahead(backup=name)
    else:
        what = "no backup before migrating: the database is not part of this stack"
        console.warn(f"{what} - set backup.every in invoke.yaml")
    console.step(f"migrating: {', '.join(pending)}")
    for name in final:
        console.warn(f"{name} is irreversible - a rollback across it needs --force")
    before = [*deployment.record.final]
    deployment.record_ahead(migrations=pending, final=[*before, *final])
    try:
        deployment.jobs([migration(deployment.stack)])
    except Exception:
        left = _pending(deployment)
        applied, lost = ([name for name in each if name not in left] for each in (pending, final))
        deployment.note(migrations=applied, final=[*before, *lost])
        raise


def _encrypted(deployment: Deployment) -> str:
    """Make a backup as the schedule does; return its name."""
    why = f"before release {deployment.record.number}"
    words = ("dump", backups.about(deployment.now.record, why))
    job = tools.job(deployment.ahead or deployment.stack, *words)
    done = json.loads(deployment.jobs([job], tools.ANSWER))["done"]
    for problem in done["problems"]:
        console.warn(problem)
    return str(done["name"])


def _pending(deployment: Deployment) -> list[str]:
    """Return the migrations that the database lacks; none if it does not answer."""
    try:
        output = deployment.jobs([Job(contract.PENDING, [contract.PENDING])], contract.ANSWER)
        return list(json.loads(output)["pending"])
    except Exception as error:
        hint = f'inv manage --env={deployment.target.name} "showmigrations" lists them'
        console.warn(f"cannot find out which migrations were applied: {explain(error)} - {hint}")
        return []


def migration(stack: Stack) -> Job:
    """Return the job that migrates the database, then checks that the new app works with it."""
    overrides = as_owner(stack)
    overrides["environment"]["PGOPTIONS"] = SESSION
    return Job(contract.MIGRATE, [contract.MIGRATE, *stack.backing], overrides=overrides)


def _volume(name: str, folder: str) -> dict[str, str]:
    return {"type": "volume", "source": name, "target": folder}
