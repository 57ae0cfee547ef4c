"""Before the app's replicas are touched: backing services, checks, backup, migrations."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import console
from ..environments.one_off import once_reached
from ..environments.records import DAMAGED, Record
from ..errors import explain
from ..orchestrators.base import Job
from ..orchestrators.stack import Stack
from ..project import contract
from .rollout import roll

if TYPE_CHECKING:
    from .deployment import Deployment

# The job that is no role of the image.
BACKUP = "backup"
# A migration that waits for a lock on a table blocks all queries after it: not for long. And one
# whose job was ended does not go on.
SESSION = "-c lock_timeout=5s -c client_connection_check_interval=1s"
# More dumps than there are.
EVERY = 10**6
# Deletes older dumps after a good one: the newest $1 stay, and those that other arguments name. A
# person's own files have other names.
TIDY = (
    "count=$1; shift; ls -t | grep -xE '[0-9]{8}T[0-9]{6}Z[.]dump' | tail -n \"+$((count + 1))\" | "
    'while read -r old; do case " $* " in *" ${old%.dump} "*) ;; *) rm -f "$old";; esac; done'
)
# Atomic; $0 is its name. A shell that is process 1 ends only by a signal that it handles.
DUMP = (
    f"cd {contract.BACKUPS_FOLDER}; rm -f ./*.part; trap 'kill \"$!\"' INT TERM; "
    'export PGPASSWORD="$(cat /run/secrets/POSTGRES_PASSWORD)"; '
    f"pg_dump --host={contract.DATABASE} "
    '--format=custom --username="$POSTGRES_USER" --file="$0.part" "$POSTGRES_DB" & '
    'wait "$!" && mv "$0.part" "$0.dump"; status=$?; rm -f "$0.part"; '
    f'if [ "$status" = 0 ]; then {TIDY}; fi; exit "$status"'
)


def run(deployment: Deployment) -> None:
    """Do all that comes before the first of the app's replicas is touched."""
    target, stack = deployment.target, deployment.stack
    if set(stack.backing) - set(deployment.now.services):
        console.step(f"starting {', '.join(stack.backing)}")
        roll(target, stack.only(stack.backing), 0, deployment.lock, prune=False)
    console.step("checking the image on the servers")
    check = Job(contract.CHECK, [contract.CHECK, *stack.backing])
    found = json.loads(deployment.jobs([check, static(stack)], contract.ANSWER))
    if found["pending"]:
        _migrate(deployment, found)


def static(stack: Stack) -> Job:
    """Return the job that copies the static files to every server: each may get a replica."""
    copying = [contract.ENTRYPOINT, contract.STATIC, contract.STATIC_FOLDER]
    overrides = {"user": "0:0", "volumes": [_volume(contract.STATIC_FILES, contract.STATIC_FOLDER)]}
    return Job(contract.STATIC, once_reached(stack, copying), everywhere=True, overrides=overrides)


def _migrate(deployment: Deployment, found: dict[str, Any]) -> None:
    """Migrate the database, with a backup before."""
    pending, final = found["pending"], found["final"]
    if contract.DATABASE in deployment.stack.services:
        console.step("backing up the database")
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        count, named = kept(deployment.now.records, deployment.target.settings.deploy.backups)
        deployment.jobs([backup(deployment.stack, name, count, named)])
        deployment.record_ahead(backup=name)
    else:
        console.warn("no backup before migrating: the database is not part of this stack")
    console.step(f"migrating: {', '.join(pending)}")
    for name in final:
        console.warn(f"{name} is irreversible")
    deployment.record_ahead(migrations=pending, final=final)
    try:
        deployment.jobs([migration(deployment.stack)])
    except Exception:
        left = _pending(deployment)
        applied, lost = ([name for name in each if name not in left] for each in (pending, final))
        deployment.note(migrations=applied, final=lost)
        raise


def _pending(deployment: Deployment) -> list[str]:
    """Return the migrations that the database lacks; none if it does not answer."""
    try:
        output = deployment.jobs([Job(contract.PENDING, [contract.PENDING])], contract.ANSWER)
        return list(json.loads(output)["pending"])
    except Exception as error:
        console.warn(f"cannot find out which migrations were applied: {explain(error)}")
        return []


def migration(stack: Stack) -> Job:
    """Return the job that migrates the database, then checks that the new app works with it."""
    environment = stack.services[stack.ours[0]]["environment"] | {"PGOPTIONS": SESSION}
    command = [contract.MIGRATE, *stack.backing]
    return Job(contract.MIGRATE, command, overrides={"environment": environment})


def kept(known: Sequence[Record], count: int) -> tuple[int, list[str]]:
    """Return how many dumps stay, and those that records name; all do if a record is damaged."""
    damaged = any(record.state == DAMAGED for record in known)
    return EVERY if damaged else count, [record.backup for record in known if record.backup]


def backup(stack: Stack, name: str, count: int, named: Sequence[str]) -> Job:
    """Return the job that writes the database to the volume of backups, beside the database.

    Args:
        count: how many dumps stay.
        named: those that stay in any case, as a recorded deploy names them.
    """
    db = stack.services[contract.DATABASE]
    deploy = {"placement": db["deploy"].get("placement", {})}
    same = {key: db[key] for key in ("image", "environment", "secrets")}
    rights = {key: db.get(key, []) for key in ("cap_drop", "cap_add")}
    volumes = [_volume(contract.BACKUPS, contract.BACKUPS_FOLDER)]
    more = {"user": "0:0", "volumes": volumes, "deploy": deploy, "read_only": False}
    return Job(BACKUP, ["sh", "-c", DUMP, name, str(count), *named], overrides=same | rights | more)


def _volume(name: str, folder: str) -> dict[str, str]:
    return {"type": "volume", "source": name, "target": folder}
