"""The secrets of an environment: store, rotate, list, remove, and take them elsewhere."""

from __future__ import annotations

from invoke import Context, task

from .lib import console
from .lib.errors import ExitCode, TaskError
from .lib.options import ENV, JSON, WAIT, YES


@task(
    name="set",
    help={
        "env": ENV,
        "wait": WAIT,
        "name": "the secret, one of deploy.secrets in invoke.yaml",
        "random": "generate a random value; without --name, for each secret that is missing",
    },
)
def set_secret(
    ctx: Context, env: str = "", name: str = "", random: bool = False, wait: str = ""
) -> None:
    """Store a secret's next version; the next deploy uses it.

    The value comes from the environment variable of that name, else from a prompt or from stdin.

    Example: inv secrets.set --env=staging --name=SECRET_KEY --random
    """
    from .lib.environments import bootstrap, connection, secret_values
    from .lib.project.settings import read_settings

    settings = read_settings(ctx)
    settings.environment(env)
    if name or not random:
        secret_values.known(settings, name)
    with connection.reach(ctx, env, wait=wait) as target, target.locked("sets secrets", name):
        if not name:
            made = [*bootstrap.make_up_secrets(target)]
            return console.say("\n".join(f"stored as {each}" for each in made) or "none is missing")
        value = secret_values.random() if random else secret_values.read(name)
        console.say(f"stored as {target.orchestrator.set_secret(name, value)}")


@task(name="list", help={"env": ENV, "json": JSON})
def list_secrets(ctx: Context, env: str = "", json: bool = False) -> None:
    """List an environment's secrets and their newest versions.

    Example: inv secrets.list --env=staging
    """
    from .lib import reports
    from .lib.environments import connection, secret_values

    with connection.reach(ctx, env) as target:
        reports.show(secret_values.listed(target), json)


@task(
    name="remove",
    help={
        "env": ENV,
        "wait": WAIT,
        "name": "the secret, with all its versions",
        "yes": YES,
    },
)
def remove_secret(
    ctx: Context, env: str = "", name: str = "", yes: bool = False, wait: str = ""
) -> None:
    """Delete a secret that no service uses, with all its versions.

    Example: inv secrets.remove --env=staging --name=OLD_TOKEN
    """
    from .lib.environments import connection

    with (
        connection.reach(ctx, env, wait=wait) as target,
        target.locked("sets secrets", f"without {name}"),
    ):
        versions = target.orchestrator.secrets().get(name)
        if not versions:
            hint = f"inv secrets.list --env={env}"
            raise TaskError(f"{env} has no secret {name!r}", hint, ExitCode.REFUSED)
        console.confirm(f"Delete {', '.join(versions)}?", yes)
        target.orchestrator.remove_secret(name)
        console.say(f"deleted {', '.join(versions)}")


@task(
    name="rotate",
    help={
        "env": ENV,
        "wait": WAIT,
        "name": "POSTGRES_PASSWORD, DATABASE_PASSWORD, OWNER_PASSWORD or METRICS_PASSWORD",
    },
)
def rotate_secret(ctx: Context, env: str = "", name: str = "", wait: str = "") -> None:
    """Change a password of the database without downtime.

    It deploys what runs, with a random password. The old one works until no release needs it.

    Example: inv secrets.rotate --env=prod --name=POSTGRES_PASSWORD
    """
    from .lib.deploys import rotation
    from .lib.environments import connection

    rotation.known(name)
    with connection.reach(ctx, env, wait=wait) as target, target.locked(f"rotates {name}") as lock:
        rotation.run(target, name, lock)


@task(
    name="export",
    iterable=["recipient"],
    help={
        "env": ENV,
        "wait": WAIT,
        "to": "the file to write",
        "recipient": "a public key of age or SSH, instead of deploy.recipients; repeatable",
    },
)
def export_secrets(
    ctx: Context, recipient: list[str], env: str = "", to: str = "", wait: str = ""
) -> None:
    """Write an environment's secrets to an age-encrypted file.

    Example: inv secrets.export --env=staging --to=staging.age --recipient=age1...
    """
    from .lib import files
    from .lib.environments import connection, secret_files
    from .lib.project.settings import read_settings

    keys = recipient or read_settings(ctx).deploy.recipients
    readers, file = secret_files.recipients(keys), secret_files.free(to)
    with connection.reach(ctx, env, wait=wait) as target, target.locked("exports secrets"):
        values = secret_files.values(target)
    if not values:
        what = f"{env} has no secrets, or no image to read them with"
        raise TaskError(what, f"inv release --env={env}", ExitCode.REFUSED)
    files.write_private(file, secret_files.encrypted(values, readers))
    console.say(f"{to} has {', '.join(values)}")


@task(
    name="import",
    help={
        "env": ENV,
        "wait": WAIT,
        "from_": "the file of secrets.export",
        "identity": "a file with the private key, of age or SSH",
    },
)
def import_secrets(
    ctx: Context, env: str = "", from_: str = "", identity: str = "", wait: str = ""
) -> None:
    """Store the secrets of a file of secrets.export.

    Those that differ get a next version, which the next deploy uses.

    Example: inv secrets.import --env=staging --from=staging.age --identity=key.txt
    """
    from .lib.environments import connection, secret_files

    values = secret_files.decrypted(from_, identity)
    with connection.reach(ctx, env, wait=wait) as target, target.locked("sets secrets"):
        known = secret_files.values(target)
        for name, value in values.items():
            if name not in target.settings.deploy.secrets:
                console.warn(f"{name} is left out: not in deploy.secrets of invoke.yaml")
            elif known.get(name) == value:
                console.say(f"{name} is the same")
            else:
                console.say(f"stored as {target.orchestrator.set_secret(name, value)}")
