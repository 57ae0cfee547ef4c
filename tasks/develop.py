"""The daily loop with the app on this machine."""

from __future__ import annotations

import shlex

from invoke import Context, task
from invoke.exceptions import Exit

ENGINE = "docker, host, or auto: docker when an engine answers (default: invoke.yaml's dev.engine)"


@task(
    help={
        "engine": ENGINE,
        "port": "the app's port on 127.0.0.1 (default: invoke.yaml's dev.port)",
        "detach": "return when the app is ready, and leave it running",
        "fresh": "throw the data away first",
        "debugger": "let a debugger attach (debugpy, on invoke.yaml's dev.debugport)",
    }
)
def dev(
    ctx: Context,
    engine: str = "",
    port: int = 0,
    detach: bool = False,
    fresh: bool = False,
    debugger: bool = False,
) -> None:
    """Run the app and follow its log; Ctrl-C stops it.

    Example: inv dev --port 8001
    """
    from .lib import console
    from .lib.app import backend
    from .lib.project import settings

    facts = settings.read(ctx)
    place = backend.choose(ctx, facts, engine)
    running = backend.Running(port or facts.dev.port, facts.dev.debugport, debugger)
    try:
        place.up(running, fresh)
        console.step(f"{facts.project.name} runs at http://127.0.0.1:{running.port}")
        if detach:
            console.say("inv logs shows its log, inv down stops it")
            return
        console.say("Ctrl-C stops it")
        place.follow()
    except KeyboardInterrupt:
        console.say("\nstopping ...")
        place.down()
        raise Exit("stopped", code=0) from None


@task(help={"engine": ENGINE, "volumes": "delete the data too", "yes": "do not ask"})
def down(ctx: Context, engine: str = "", volumes: bool = False, yes: bool = False) -> None:
    """Stop the app and remove its containers.

    Example: inv down --volumes
    """
    from .lib import console, errors
    from .lib.app import backend
    from .lib.project import settings

    place = backend.choose(ctx, settings.read(ctx), engine)
    if volumes and not yes and not console.confirm("Delete the development database?"):
        raise errors.Failed("nothing was deleted", "answer y, or add --yes", errors.REFUSED)
    place.down(volumes)
    console.say("down")


@task(
    help={
        "engine": ENGINE,
        "env": "of an environment, as invoke.yaml names it (default: of the app here)",
        "service": "of an environment's one service, such as app (default: all that run the image)",
        "since": "what an environment logged since then, such as 10m or 2026-01-31T12:00:00",
        "follow": "go on until Ctrl-C",
        "tail": "how many of the last lines to begin with",
    }
)
def logs(
    ctx: Context,
    engine: str = "",
    env: str = "",
    service: str = "",
    since: str = "",
    follow: bool = False,
    tail: int = 100,
) -> None:
    """Show what the app logged, here or in an environment.

    Example: inv logs --env=prod --service=app --since=10m --follow
    """
    from .lib.app import backend
    from .lib.environments import connection, logs
    from .lib.project import settings

    if env:
        with connection.reach(ctx, settings.read(ctx), env) as there:
            logs.logs(there, service, logs.Lines(follow, tail, since))
        return
    backend.choose(ctx, settings.read(ctx), engine).logs(follow, tail)


@task(
    help={
        "command": "the command with its arguments, in quotes",
        "engine": ENGINE,
        "env": "in an environment: a one-off of the image that runs there; it asks nothing",
    }
)
def manage(ctx: Context, command: str, engine: str = "", env: str = "") -> None:
    """Run a manage.py command, here or in an environment.

    Example: inv manage "migrate --plan"
    """
    from .lib import errors
    from .lib.app import backend
    from .lib.environments import connection, logs
    from .lib.project import settings

    if env:
        with connection.reach(ctx, settings.read(ctx), env) as there:
            logs.manage(there, shlex.split(command))
        return
    status = backend.choose(ctx, settings.read(ctx), engine).manage(shlex.split(command))
    if status:
        raise errors.Failed(f"manage.py {command} ended with {status}", code=status)


@task(help={"engine": ENGINE})
def shell(ctx: Context, engine: str = "") -> None:
    """Open Django's shell in the app.

    Example: inv shell
    """
    from .lib.app import backend
    from .lib.project import settings

    raise Exit(code=backend.choose(ctx, settings.read(ctx), engine).manage(["shell"]))


@task(help={"engine": ENGINE})
def psql(ctx: Context, engine: str = "") -> None:
    """Open the database's own shell.

    Example: inv psql
    """
    from .lib.app import backend
    from .lib.project import settings

    raise Exit(code=backend.choose(ctx, settings.read(ctx), engine).psql())
