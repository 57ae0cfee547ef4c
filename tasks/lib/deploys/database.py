"""Jobs for the stack's own database: its roles, and its backup before a migration."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import console
from ..environments.connection import Target
from ..environments.records import DAMAGED, Record
from ..images import data
from ..orchestrators.base import Job
from ..orchestrators.stack import Stack
from ..project import contract
from ..project.settings import ROOT

if TYPE_CHECKING:
    from .deployment import Deployment

# The jobs, which are no roles of the image; the secret of the database's superuser.
BACKUP, ROLES, SUPERUSER = "backup", "roles", "POSTGRES_PASSWORD"
# The version of it that the database was created with, and keeps: another one would restart it.
FIRST = "POSTGRES_PASSWORD_FIRST"
# What the roles of docker/roles.sql are called before the version of their password, as in "_v3".
KINDS = {contract.LOGIN: "app_user", contract.OWNERS[contract.LOGIN]: "app_owner"}
NEEDED = {**KINDS, SUPERUSER: "app_admin"}
NAMES = {**NEEDED, contract.METRICS_LOGIN: "app_metrics"}
# The roles that may log in, and how many tables are not the owner's.
STATE = (
    'psql --no-psqlrc --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" -At --command="'
    "SELECT coalesce(string_agg(rolname, ' '), '') FROM pg_roles WHERE rolcanlogin "
    "AND rolname ~ '^app_(user|owner|admin|metrics)_v'\" --command=\""
    "SELECT count(*) FROM pg_class c WHERE relnamespace = 'public'::regnamespace "
    "AND relkind IN ('r', 'p') AND pg_get_userbyid(relowner) <> 'app_owner' "
    "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')\""
)
# $1 is docker/roles.sql. The superuser may still have an older password than the newest.
SET_UP = (
    f"for try in $(seq 60); do pg_isready -q --host={contract.DATABASE} && break; sleep 1; done; "
    'printf %s "$1" >/tmp/roles.sql; '
    f'set -- --no-psqlrc --host={contract.DATABASE} --username="$POSTGRES_USER" '
    '--dbname="$POSTGRES_DB" --set=user="$2" --set=owner="$3" --set=admin="$4" '
    '--set=metrics="$5" --set=known="$6"; '
    f"for each in /run/secrets/{SUPERUSER}*; do "
    'export PGPASSWORD="$(cat "$each")"; '
    'why=$(psql "$@" --command="SELECT 1" 2>&1) && exec psql "$@" --file=/tmp/roles.sql; '
    'done; echo "$why"; exit 1'
)
# What says the version of the server that runs.
VERSION, MAJOR = "postgres --version", re.compile(r"postgres \(PostgreSQL\) (\d+)")
EVERY = 10**6  # More dumps than there are.
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


def outdated(target: Target) -> list[str]:
    """Return a line if the database that runs has another major version than invoke.yaml says."""
    shown = target.orchestrator.inside(contract.DATABASE, VERSION)
    found, wanted = MAJOR.match(shown or ""), data.major(target.settings.services)
    if not found or wanted in {0, int(found[1])}:
        return []
    what = f"PostgreSQL {found[1]} runs, and services.postgres in invoke.yaml is {wanted}"
    return [f"{what} - inv db.upgrade --env={target.name}"]


def set_up_roles(deployment: Deployment) -> None:
    """Give the database the roles that a stack logs in with, unless it has them."""
    stack, named = deployment.stack, deployment.stack.content["secrets"]
    if contract.DATABASE not in stack.services or not {SUPERUSER, *KINDS} <= named.keys():
        return
    versions = (orchestrator := deployment.target.orchestrator).secrets()
    wanted = [role(key, named[key]["name"]) for key in NAMES if key in named]
    others = sorted({*NAMES} & {*named} - {SUPERUSER})
    known = [role(key, each) for key in others for each in versions[key]]
    before, after = password(deployment.now.stack), password(stack)
    known += admins(versions[SUPERUSER], {before, after})
    shown = orchestrator.inside(contract.DATABASE, STATE)
    if before != after or not as_wanted(shown or "", wanted, known):
        console.step("setting up the database's roles")
        older = {each: {"external": True, "name": each} for each in versions[SUPERUSER]}
        whole = replace(stack, content={**stack.content, "secrets": {**named, **older}})
        deployment.jobs([roles(whole, wanted, known, [*older])], stack=whole)


def password(stack: Stack | None) -> str:
    """Return the version of the superuser's password in a stack; empty for none."""
    named = stack.content.get("secrets", {}) if stack else {}
    return str(named.get(SUPERUSER, {}).get("name", ""))


def admins(versions: Sequence[str], used: Collection[str]) -> list[str]:
    """Return the superuser's roles that may log in.

    The first version stays as long as the database; its role only as long as it is used.

    Args:
        versions: those of its password, the newest first.
        used: those of what runs, and of what is to run.
    """
    known = {*versions[: max(len(versions) - 1, 1)], *used}
    return [role(SUPERUSER, each) for each in versions if each in known]


def first(versions: Sequence[str], now: Stack | None) -> str:
    """Return the superuser's password that the database was created with, or has had since.

    Another one would restart it, and it reads none after its beginning.

    Args:
        versions: those of the password, the newest first.
        now: what runs.
    """
    uses = now.services.get(contract.DATABASE, {}).get("secrets", []) if now else []
    named = now.content["secrets"] if now else {}
    has = {named[use["source"]]["name"] for use in uses if use["source"] in (SUPERUSER, FIRST)}
    return next((each for each in versions if each in has), versions[-1] if versions else "")


def admin(secrets: Mapping[str, str]) -> str:
    """Return the role that backups log in with, which a database without roles does not have.

    Args:
        secrets: for each secret the name of its newest version.
    """
    return role(SUPERUSER, secrets[SUPERUSER]) if {*NEEDED} <= secrets.keys() else "app"


def role(secret: str, version: str) -> str:
    """Return the role that logs in with a version of a secret."""
    return f"{NAMES[secret]}_{version.rpartition('_')[2]}"


def as_wanted(shown: str, wanted: Sequence[str], known: Sequence[str]) -> bool:
    """Return whether STATE shows the wanted roles, none but known ones, and an owner of all."""
    names, _, strangers = shown.rpartition("\n")
    return strangers == "0" and {*wanted} <= {*names.split()} <= {*known}


def roles(
    stack: Stack, wanted: Sequence[str], known: Sequence[str], versions: Sequence[str]
) -> Job:
    """Return the job that sets up the roles.

    Args:
        wanted: one of each of NAMES, or without the last one; known: those that may log in.
        versions: the superuser's passwords, of which it has one.
    """
    sql = (ROOT / "docker/roles.sql").read_text("utf-8")
    metrics = [*wanted, ""][len(NEEDED)]
    files = {key: key for key in (SUPERUSER, *KINDS, *([contract.METRICS_LOGIN] * bool(metrics)))}
    files |= {each: f"{SUPERUSER}_{each.rpartition('_')[2]}" for each in versions}
    words = ["sh", "-c", SET_UP, "sh", sql, *wanted[: len(NEEDED)], metrics, " ".join(known)]
    return _job(stack, ROLES, words, secrets=[_use(*each) for each in files.items()])


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
    words = ["sh", "-c", DUMP, name, str(count), *named]
    volume = {"type": "volume", "source": contract.BACKUPS, "target": contract.BACKUPS_FOLDER}
    return _job(stack, BACKUP, words, volumes=[volume], secrets=[_use(SUPERUSER, SUPERUSER)])


def _use(secret: str, name: str) -> dict[str, Any]:
    return {"source": secret, "target": name, "uid": "0", "gid": "0", "mode": 0o400}


def _job(stack: Stack, name: str, words: list[str], **more: Any) -> Job:
    """Return a job beside the database, with its image."""
    db = stack.services[contract.DATABASE]
    deploy = {"placement": db["deploy"].get("placement", {})}
    same = {key: db[key] for key in ("image", "environment")}
    rights = {key: db.get(key, []) for key in ("cap_drop", "cap_add")}
    base = {"user": "0:0", "volumes": [], "deploy": deploy, "read_only": False}
    return Job(name, words, overrides=same | rights | base | more)
