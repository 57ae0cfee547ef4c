"""The data of an environment: back it up, restore it, prove that it can be restored."""

from __future__ import annotations

from invoke import Context, task

from .lib import console
from .lib.options import CONFIRM, ENV, JSON, WAIT, YES

FROM = "a backup's name, latest, a time with its zone (the newest of before it), or its files here"
AT = "a point in time with its zone, 2026-11-26T14:03:05+01:00, or latest: of backup.pitr"
IDENTITY = "a file with a reader's private key, of age or SSH; it stays on this machine"


@task(name="make", default=True, help={"env": ENV, "wait": WAIT})
def backup(ctx: Context, env: str = "", wait: str = "") -> None:
    """Back up an environment's database now, besides its schedule.

    Encrypted to deploy.recipients, on the server's volume and in backup.storage.

    Example: inv backup --env=prod
    """
    from .lib.data import backups, tools
    from .lib.environments import connection, running

    with connection.reach(ctx, env, wait=wait) as target, target.locked("makes a backup") as lock:
        stack = tools.stack(target)
        about = backups.about(running.look(target).record, "by hand")
        done = tools.run(target, stack, lock, "make", about)
    for problem in [*done["problems"], *backups.lonely(target.settings.deploy.recipients)]:
        console.warn(problem)
    console.result(done["name"])


@task(name="list", help={"env": ENV, "json": JSON})
def list_backups(ctx: Context, env: str = "", json: bool = False) -> None:
    """List an environment's backups, newest first.

    Exits with 1 if the storage does not answer.

    Example: inv backup.list --env=prod
    """
    from .lib import reports
    from .lib.data import backups
    from .lib.environments import connection

    with connection.reach(ctx, env) as target:
        found = backups.report(env, backups.listed(target))
    reports.show(found, json, "see backup in invoke.yaml, and the secrets BACKUP_...")


@task(
    name="run",
    default=True,
    help={
        "env": ENV,
        "wait": WAIT,
        "from_": FROM,
        "at": AT,
        "identity": IDENTITY,
        "undo": "swap the old database back",
        "yes": YES,
        "confirm": CONFIRM,
    },
)
def restore(
    ctx: Context,
    env: str = "",
    from_: str = "",
    at: str = "",
    identity: str = "",
    undo: bool = False,
    yes: bool = False,
    confirm: str = "",
    wait: str = "",
) -> None:
    """Restore a backup or a point in time, then swap the databases.

    The site is closed for the swap only. The old database is kept for a week: --undo.

    Example: inv restore --env=prod --from=latest --identity=key.txt
    """
    from .lib.data import points, restoring, tools
    from .lib.environments import connection

    with connection.reach(ctx, env, wait=wait) as target:
        stack = tools.stack(target)
        wanted = from_, at, identity
        backup, key = ({}, "") if undo else points.wanted(target, stack, *wanted)
        question = restoring.question(target.name, backup)
        target.confirm(question, yes, confirm, "nothing was changed")
        with target.locked("restores a backup", backup.get("name", "")) as lock:
            restore = restoring.Restore(target, stack, lock, backup, key)
            console.say(restore.undo() if undo else restore.run())


@task(help={"env": ENV, "wait": WAIT, "from_": FROM, "at": AT, "identity": IDENTITY})
def drill(
    ctx: Context,
    env: str = "",
    from_: str = "latest",
    at: str = "",
    identity: str = "",
    wait: str = "",
) -> None:
    """Prove a backup or a point in time in a scratch database.

    It is compared with what the backup says of itself, and removed.

    The result is in inv status. CI can run it every night.

    Example: inv restore.drill --env=prod --identity=key.txt
    """
    from .lib.data import fetched, points, tools
    from .lib.environments import connection

    with connection.reach(ctx, env, wait=wait) as target, target.locked("proves a backup") as lock:
        stack = tools.stack(target)
        backup, key = points.wanted(target, stack, "" if at else from_, at, identity)
        fetched.send(target, backup)
        done = tools.run(target, stack, lock, *points.words(backup, "drill", "prove"), key=key)
    held = f"{done['tables']} tables, {done['rows']} rows"
    console.result(f"{backup['name']}: {held}, in {done['seconds']} s")


@task(help={"env": ENV, "wait": WAIT, "yes": YES, "confirm": CONFIRM})
def upgrade(
    ctx: Context, env: str = "", yes: bool = False, confirm: str = "", wait: str = ""
) -> None:
    """Move a database to the PostgreSQL of services.postgres.

    It is copied and compared twice: while the site is open, then while it is closed. The old one
    stays on its volume.

    Example: inv db.upgrade --env=staging
    """
    from .lib.deploys import upgrading
    from .lib.environments import connection

    with connection.reach(ctx, env, wait=wait) as target:
        question = f"Upgrade {target.name}'s database, and close the site for it?"
        target.confirm(question, yes, confirm, "nothing was changed")
        with target.locked("upgrades the database") as lock:
            upgrading.prepared(target, lock).run()


@task(help={"env": ENV, "wait": WAIT})
def pull(ctx: Context, env: str = "", wait: str = "") -> None:
    """Copy an environment's database to the app in Docker here.

    It is scrubbed on the server by backup.scrub, and has only what backup.columns allows. What the
    app here had is lost.

    Example: inv db.pull --env=staging
    """
    from .lib import files
    from .lib.app.backend import choose_backend
    from .lib.data import pulling, tools
    from .lib.environments import connection
    from .lib.project.settings import read_settings

    backend = choose_backend(ctx, read_settings(ctx), "docker")
    with files.folder() as folder:
        with (
            connection.reach(ctx, env, wait=wait) as target,
            target.locked("copies the database") as lock,
        ):
            pulling.require_loadable(target)
            words = pulling.rules(target)
            pulling.pull(target, tools.stack(target), lock, folder / "dump", words)
        console.step("loading it into the database here")
        backend.load(folder / "dump")
    console.say(f"the app here has the data of {env}")
