"""Before the app's replicas are touched: backing services, checks, backup, migrations."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import console
from ..errors import explain
from ..orchestrators.swarm import jobs
from ..project import contract
from . import rollout

if TYPE_CHECKING:
    from ..environments.connection import Target
    from ..environments.lock import Lock
    from ..orchestrators.swarm.stack import Stack

# The job that has no role of the image.
BACKUP = "backup"
# Options of `wait`: a person who repairs what cannot be reached gets the command all the same.
PATIENT = ("--at-most", "30")
# A migration that waits for a table holds up all that comes after it: not for long. And one whose
# job has been ended goes on no longer.
SESSION = "-c lock_timeout=5s -c client_connection_check_interval=1s"
# Whole or not at all; $0 is its name. A shell that is process 1 ends only if it is told how to.
DUMP = (
    f"cd {contract.BACKUPS_FOLDER}; rm -f ./*.part; trap 'kill \"$!\"' INT TERM; "
    'export PGPASSWORD="$(cat /run/secrets/POSTGRES_PASSWORD)"; '
    f"pg_dump --host={contract.DATABASE} "
    '--format=custom --username="$POSTGRES_USER" --file="$0.part" "$POSTGRES_DB" & '
    'wait "$!" && exec mv "$0.part" "$0.dump"; status=$?; rm -f "$0.part"; exit "$status"'
)


def run(target: Target, new: Stack, note: dict[str, Any], lock: Lock) -> None:
    """All that comes before the first of the app's replicas is touched."""
    inner = backing(new)
    limit = target.settings.deploy.timeout
    if set(inner) - set(target.swarm.services(new.name)):
        console.step(f"starting {', '.join(inner)}")
        before = rollout.snapshot(target.swarm, new.name)
        target.swarm.apply(new.only(inner))
        rollout.watch(target, new.only(inner), before, 0, lock)
    console.step("checking the image on the servers")
    check = new.job(contract.CHECK, [contract.CHECK, *inner])
    found = json.loads(jobs.run(target.swarm, [check, static(new)], limit, lock, contract.ANSWER))
    if found["pending"]:
        _migrate(target, new, note, found, lock)


def backing(new: Stack) -> list[str]:
    """The services that the app's replicas need: not the app's own, nor what stands in front."""
    services = new.content["services"]
    return [name for name in services if name not in new.ours and not services[name].get("ports")]


def once_reached(new: Stack, command: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """A job's command that begins when its server can reach what the app needs.

    Args:
        options: of the role `wait`: PATIENT for one that begins after half a minute at the latest.
    """
    return [contract.WAIT, *options, *backing(new), "--", *command]


def static(new: Stack) -> Stack:
    """A job that copies the static files on every server: a replica may come to any of them."""
    laying = [contract.ENTRYPOINT, contract.STATIC, contract.STATIC_FOLDER]
    volume = _volume(contract.STATIC_FILES, contract.STATIC_FOLDER)
    more = {"user": "0:0", "volumes": [volume]}
    return new.job(contract.STATIC, once_reached(new, laying), every=True, **more)


def _migrate(
    target: Target, new: Stack, note: dict[str, Any], found: dict[str, Any], lock: Lock
) -> None:
    """Migrate the database, with a backup before."""
    names, limit = found["pending"], target.settings.deploy.timeout
    if contract.DATABASE in new.content["services"]:
        console.step("backing up the database")
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        jobs.run(target.swarm, [backup(new, name)], limit, lock)
        note["backup"] = name
    else:
        console.warn("no backup before migrating: the database is not this stack's")
    console.step(f"migrating: {', '.join(names)}")
    for name in found["final"]:
        console.warn(f"{name} cannot be reversed")
    note |= {"migrations": names, "final": found["final"]}
    try:
        jobs.run(target.swarm, [migration(new)], limit, lock)
    except Exception:
        left = _pending(target, new, lock)
        for key in ("migrations", "final"):
            note[key] = [name for name in note[key] if name not in left]
        raise


def _pending(target: Target, new: Stack, lock: Lock) -> list[str]:
    """The migrations that a database lacks, as far as it can tell."""
    job = new.job(contract.PENDING, [contract.PENDING])
    try:
        said = jobs.run(target.swarm, [job], target.settings.deploy.timeout, lock, contract.ANSWER)
        return list(json.loads(said)["pending"])
    except Exception as error:
        console.warn(f"which migrations were made is not known: {explain(error)}")
        return []


def migration(new: Stack) -> Stack:
    """A job that migrates the database, then sees that the new app works with it."""
    environment = new.content["services"][new.ours[0]]["environment"] | {"PGOPTIONS": SESSION}
    command = [contract.MIGRATE, *backing(new)]
    return new.job(contract.MIGRATE, command, environment=environment)


def backup(new: Stack, name: str) -> Stack:
    """A job that writes the database to a file of the volume of backups, beside the database."""
    db = new.content["services"][contract.DATABASE]
    volume = _volume(contract.BACKUPS, contract.BACKUPS_FOLDER)
    deploy = {"placement": db["deploy"].get("placement", {})}
    more = {"image": db["image"], "environment": db["environment"], "secrets": db["secrets"]}
    more |= {"user": "0:0", "volumes": [volume], "deploy": deploy, "read_only": False}
    more |= {"cap_drop": db.get("cap_drop", []), "cap_add": db.get("cap_add", [])}
    return new.job(BACKUP, ["sh", "-c", DUMP, name], **more)


def _volume(name: str, folder: str) -> dict[str, str]:
    return {"type": "volume", "source": name, "target": folder}
