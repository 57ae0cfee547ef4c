"""Before the app's replicas are touched: backing services, checks, backup, migrations."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from .. import console
from ..environments.one_off import PENDING, REACH, once_reached
from ..errors import explain
from ..orchestrators.base import Job
from .rollout import roll

if TYPE_CHECKING:
    from ..orchestrators.stack import Stack
    from .deployment import Deployment

# The jobs.
CHECK, STATIC, BACKUP, MIGRATE = "check", "static", "backup", "migrate"
ANSWER = '{"pending":'
# Between REACH and PENDING, all three in one process: each start of the app takes its time.
SYSTEM = """
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "check", "--deploy", "--fail-level", "WARNING"])
"""
# $0 is PENDING and $1 is REACH, followed by names of services; into one stream, to keep the order.
MIGRATING = (
    'exec 2>&1; python -c "$@" && python manage.py migrate --noinput && '
    'exec python -c "$0" >/dev/null'
)
# A migration that waits for a lock on a table blocks all queries after it: not for long. And one
# whose job was ended does not go on.
SESSION = "-c lock_timeout=5s -c client_connection_check_interval=1s"
# Atomic; $0 is its name. A shell that is process 1 ends only by a signal that it handles.
DUMP = (
    "cd /backups; rm -f ./*.part; trap 'kill \"$!\"' INT TERM; "
    'export PGPASSWORD="$(cat /run/secrets/POSTGRES_PASSWORD)"; pg_dump --host=db '
    '--format=custom --username="$POSTGRES_USER" --file="$0.part" "$POSTGRES_DB" & '
    'wait "$!" && exec mv "$0.part" "$0.dump"; status=$?; rm -f "$0.part"; exit "$status"'
)


def run(deployment: Deployment) -> None:
    """Do all that comes before the first of the app's replicas is touched."""
    start_backing(deployment)
    console.step("checking the image on the servers")
    found = json.loads(deployment.jobs([check(deployment.stack), static(deployment.stack)], ANSWER))
    if found["pending"]:
        _migrate(deployment, found)


def start_backing(deployment: Deployment) -> None:
    """Start the services that the app needs, where one is missing."""
    target, backing = deployment.target, deployment.stack.backing
    if set(backing) - set(target.orchestrator.services()):
        console.step(f"starting {', '.join(backing)}")
        roll(target, deployment.stack.only(backing), 0, deployment.lock, prune=False)


def check(stack: Stack) -> Job:
    """Return the job that checks the new image, and finds the pending migrations."""
    script = REACH.read_text("utf-8") + SYSTEM + PENDING.read_text("utf-8")
    return Job(CHECK, ["python", "-c", script, *stack.backing])


def static(stack: Stack) -> Job:
    """Return the job that copies the static files to every server: each may get a replica."""
    command = once_reached(stack, ["/app/docker/entrypoint", "static", "/srv/static"])
    volume = {"type": "volume", "source": "static", "target": "/srv/static"}
    return Job(STATIC, command, everywhere=True, overrides={"user": "0:0", "volumes": [volume]})


def _migrate(deployment: Deployment, found: dict[str, Any]) -> None:
    """Migrate the database, with a backup before."""
    pending, final = found["pending"], found["final"]
    if "db" in deployment.stack.services:
        console.step("backing up the database")
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        deployment.jobs([backup(deployment.stack, name)])
        deployment.note(backup=name)
    else:
        console.warn("no backup before migrating: the database is not part of this stack")
    console.step(f"migrating: {', '.join(pending)}")
    for name in final:
        console.warn(f"{name} is irreversible")
    deployment.note(migrations=pending, final=final)
    try:
        deployment.jobs([migration(deployment.stack)])
    except Exception:
        left = _pending(deployment)
        deployment.note(
            migrations=[name for name in pending if name not in left],
            final=[name for name in final if name not in left],
        )
        raise


def _pending(deployment: Deployment) -> list[str]:
    """Return the migrations that the database lacks; none if it does not answer."""
    job = Job(CHECK, ["python", "-c", PENDING.read_text("utf-8")])
    try:
        return list(json.loads(deployment.jobs([job], ANSWER))["pending"])
    except Exception as error:
        console.warn(f"cannot find out which migrations were applied: {explain(error)}")
        return []


def migration(stack: Stack) -> Job:
    """Return the job that migrates the database, then checks that the new app works with it."""
    environment = stack.services[stack.ours[0]]["environment"] | {"PGOPTIONS": SESSION}
    scripts = [PENDING.read_text("utf-8"), REACH.read_text("utf-8")]
    command = ["sh", "-c", MIGRATING, *scripts, *stack.backing]
    return Job(MIGRATE, command, overrides={"environment": environment})


def backup(stack: Stack, name: str) -> Job:
    """Return the job that writes the database to the volume of backups, beside the database."""
    db = stack.services["db"]
    volume = {"type": "volume", "source": "backups", "target": "/backups"}
    deploy = {"placement": db["deploy"].get("placement", {})}
    same = {key: db[key] for key in ("image", "environment", "secrets")}
    rights = {"cap_drop": db.get("cap_drop", []), "cap_add": db.get("cap_add", [])}
    more = {"user": "0:0", "volumes": [volume], "deploy": deploy, "read_only": False}
    return Job(BACKUP, ["sh", "-c", DUMP, name], overrides=same | rights | more)
