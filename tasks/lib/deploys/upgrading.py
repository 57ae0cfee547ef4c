"""A database's move to another major version of PostgreSQL: rehearsed, then for good."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from .. import console
from ..data import tools
from ..environments import running
from ..environments.connection import Target
from ..environments.lock import Lock
from ..errors import ExitCode, TaskError
from ..orchestrators.base import Job
from ..orchestrators.stack import Stack
from ..project import contract
from . import database, preflight
from .deployment import Deployment
from .rollout import roll

# Rights of a job that makes a cluster, as those of the database's service.
RIGHTS = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]


def prepared(target: Target, lock: Lock) -> Upgrade:
    """Return the upgrade of the database that runs to the version of invoke.yaml.

    Raises TaskError, with exit status 2, if there is nothing to upgrade, or it could not succeed.
    """
    old, now = tools.stack(target), running.known(target)
    if now.record is None:
        raise TaskError("nothing runs yet", f"inv deploy --env={target.name}", ExitCode.REFUSED)
    if not database.outdated(target):
        hint = "set services.postgres in invoke.yaml, then inv build --push"
        raise TaskError("the database has the version of invoke.yaml", hint, ExitCode.REFUSED)
    force = "the database is upgraded"
    image, stack = preflight.prepare(target, now.record.digest, force, False, upgrade=True)
    return Upgrade(Deployment.of_image(target, stack, image, lock, force), old)


@dataclass
class Upgrade:
    """The upgrade of a database, as a part of a deploy of what runs.

    Args:
        old: the stack that runs.
    """

    deployment: Deployment
    old: Stack

    def run(self) -> None:
        """Rehearse while the site is open, then move the database and deploy. Raises TaskError."""
        # Both servers know the role of the new stack then.
        database.set_up_roles(self.deployment)
        console.step("rehearsing: copying the database beside, into the new version")
        found = self._move()
        held = f"{found['tables']} tables, {found['rows']} rows"
        console.say(f"  {held} in PostgreSQL {found['version']}, in {found['seconds']} s")
        self.deployment.plan()
        self.deployment.switch = self._switch
        self.deployment.run()

    def _move(self, *words: str) -> Any:
        deployment = self.deployment
        job = move(deployment.stack, *words)
        limit, target = deployment.target.settings.backup.timeout, deployment.target
        shown = target.orchestrator.run_jobs(
            deployment.stack, [job], limit, deployment.lock, tools.ANSWER
        )
        return json.loads(shown)["done"]

    def _switch(self) -> None:
        """Close the site, move the database, start its new server, and open the site again."""
        deployment, old, new = self.deployment, self.old, self.deployment.stack
        target = deployment.target
        deployment.record_ahead(final=["the move of the database to another PostgreSQL"])
        console.step("closing the site, and moving the database")
        target.orchestrator.remove_services([n for n in old.ours if n != contract.APP])
        try:
            self._move("last")
            roll(target, new.only(new.backing), 0, deployment.lock, prune=False)
            deployment.jobs([Job(contract.CHECK, [contract.CHECK, *new.backing])], contract.ANSWER)
        except BaseException:
            self._back()
            raise
        tools.ask(target, "reopen")
        # A later failure goes back to the old app, and not to the old data.
        deployment.now = replace(deployment.now, stack=mixed(old, new))

    def _back(self) -> None:
        """Start the old server again, with the data that it had."""
        deployment = self.deployment
        console.warn("the old database takes its place again")
        deployment.note(final=[])
        roll(deployment.target, self.old, 0, deployment.lock, back=True)
        tools.ask(deployment.target, "reopen")


def move(new: Stack, *words: str) -> Job:
    """Return the job that copies the database to the volume of its new version.

    Args:
        new: the stack with the new version.
    """
    job, db = tools.job(new, "move", *words), new.services[contract.DATABASE]
    same, own = job.overrides, {"PGDATA": contract.DATABASE_FOLDER}
    more = {
        "environment": {**db["environment"], **same["environment"], **own},
        "volumes": [*same["volumes"], data_volume(db)],
        "cap_add": RIGHTS,
        "read_only": False,
    }
    return replace(job, overrides={**same, **more})


def data_volume(service: dict[str, Any]) -> dict[str, Any]:
    """Return the mount of a database's data."""
    return next(each for each in service["volumes"] if each["target"] == contract.DATABASE_FOLDER)


def mixed(old: Stack, new: Stack) -> Stack:
    """Return the stack of the old app with the new database and its backups."""
    services = {**old.services, **{name: new.services[name] for name in new.backing}}
    kinds = {
        kind: {**each, **new.content.get(kind, {})}
        for kind, each in old.content.items()
        if isinstance(each, dict)
    }
    return replace(old, content={**old.content, **kinds, "services": services})
