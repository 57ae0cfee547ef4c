"""The data of an environment: back it up, restore it, prove that it can be restored."""

from __future__ import annotations

from invoke import Context, task

from .lib import console

ENV = "the environment, as invoke.yaml names it"
FROM = "a backup's name, latest, or a time with its zone: the newest backup of before it"
IDENTITY = "a file with a reader's private key, of age or SSH; it stays on this machine"


@task(name="make", default=True, help={"env": ENV})
def backup(ctx: Context, env: str = "") -> None:
    """Back up an environment's database now, besides its schedule.

    Encrypted to deploy.recipients, on the server's volume and in backup.storage.

    Example: inv backup --env=prod
    """
    from .lib.data import backups, tools
    from .lib.environments import connection, running

    with connection.reach(ctx, env) as target, target.locked("makes a backup") as lock:
        stack = tools.stack(target)
        about = backups.about(running.look(target).record, "by hand")
        done = tools.run(target, stack, lock, "make", about)
    for problem in done["problems"]:
        console.warn(problem)
    console.result(done["name"])


@task(name="list", help={"env": ENV})
def list_backups(ctx: Context, env: str = "") -> None:
    """List an environment's backups, newest first.

    Exits with 1 if the storage does not answer.

    Example: inv backup.list --env=prod
    """
    from .lib.data import backups
    from .lib.environments import connection
    from .lib.errors import TaskError

    with connection.reach(ctx, env) as target:
        found = backups.listed(target)
    console.result(backups.shown(found))
    if found["problem"]:
        raise TaskError(found["problem"], "see backup in invoke.yaml, and the secrets S3_...")


@task(
    name="run",
    default=True,
    help={
        "env": ENV,
        "from_": FROM,
        "identity": IDENTITY,
        "undo": "swap the old database back",
        "yes": "do not ask",
    },
)
def restore(
    ctx: Context,
    env: str = "",
    from_: str = "",
    identity: str = "",
    undo: bool = False,
    yes: bool = False,
) -> None:
    """Restore a backup: beside the database, then swap the two.

    The site is closed for the swap only. The old database is kept for a week: --undo.

    Example: inv restore --env=prod --from=latest --identity=key.txt
    """
    from .lib.data import backups, restoring, tools
    from .lib.environments import connection

    with connection.reach(ctx, env) as target, target.locked("restores a backup") as lock:
        stack = tools.stack(target)
        if undo:
            console.confirm(
                f"Swap {env}'s database with the one of before the restore?",
                yes,
                "nothing was changed",
            )
            done = tools.run(target, stack, lock, "undo")
            restoring.verify(target, stack)
            return console.say(f"the old database is back; the other one is kept as {done['kept']}")
        chosen = backups.choose(backups.listed(target)["backups"], from_)
        key = backups.key(chosen, identity)
        question = f"Replace {env}'s database by {restoring.summary(chosen)}?"
        console.confirm(question, yes, "nothing was changed")
        restoring.Restore(target, stack, lock, chosen, key).run()
    console.say(
        f"{env} has the data of {chosen['name']}; to go back: inv restore --env={env} --undo"
    )


@task(help={"env": ENV, "from_": FROM, "identity": IDENTITY})
def drill(ctx: Context, env: str = "", from_: str = "latest", identity: str = "") -> None:
    """Prove a backup: restore it into a scratch database.

    It is compared with what the backup says of itself, and removed.

    The result is in inv status. CI can run it every night.

    Example: inv restore.drill --env=prod --identity=key.txt
    """
    from .lib.data import backups, tools
    from .lib.environments import connection

    with connection.reach(ctx, env) as target, target.locked("proves a backup") as lock:
        stack = tools.stack(target)
        chosen = backups.choose(backups.listed(target)["backups"], from_)
        key = backups.key(chosen, identity)
        done = tools.run(target, stack, lock, "drill", chosen["name"], key=key)
    console.result(
        f"{chosen['name']}: {done['tables']} tables, {done['rows']} rows, in {done['seconds']} s"
    )
