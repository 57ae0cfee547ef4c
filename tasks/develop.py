"""Develop the app on this machine."""

from __future__ import annotations

import shlex

from invoke import Context, task
from invoke.exceptions import Exit

from .lib import console
from .lib.app.base import Asked, Backend, Running
from .lib.errors import ExitCode, TaskError
from .lib.options import WAIT, YES

ENGINE = "docker, host, or auto: docker if an engine answers (default: dev.engine in invoke.yaml)"


def _backend(ctx: Context, engine: str) -> Backend:
    """Return what runs the app on this machine."""
    from .lib.app.backend import choose_backend
    from .lib.project.settings import read_settings

    return choose_backend(ctx, read_settings(ctx), engine)


@task(
    help={
        "engine": ENGINE,
        "port": "the app's port on 127.0.0.1 (default: dev.port in invoke.yaml)",
        "detach": "return when the app is ready, and leave it running",
        "fresh": "delete the data first",
        "debugger": "let a debugger attach (debugpy, on dev.debugport in invoke.yaml)",
        "with_": "monitoring: also run Prometheus and its page (dev.monitoringport in invoke.yaml)",
    }
)
def dev(
    ctx: Context,
    engine: str = "",
    port: int = 0,
    detach: bool = False,
    fresh: bool = False,
    debugger: bool = False,
    with_: str = "",
) -> None:
    """Run the app and follow its log; Ctrl-C stops it.

    Example: inv dev --port 8001
    """
    from .lib.project.settings import read_settings

    if with_ not in ("", "monitoring"):
        raise TaskError(f"--with={with_}: unknown", "use --with=monitoring", ExitCode.REFUSED)
    settings = read_settings(ctx)
    backend = _backend(ctx, engine)
    monitoring = settings.dev.monitoringport if with_ else 0
    running = Running(port or settings.dev.port, settings.dev.debugport, debugger, monitoring)
    try:
        backend.up(running, fresh)
        console.step(f"{settings.project.name} runs at http://127.0.0.1:{running.port}")
        if monitoring:
            console.say(f"how it is: http://127.0.0.1:{monitoring}/consoles/index.html")
        if detach:
            return console.say("inv logs shows its log, inv down stops it")
        console.say("Ctrl-C stops it")
        backend.logs(Asked(follow=True, tail=20))
    except KeyboardInterrupt:
        console.say("\nstopping ...")
        backend.down()
        raise Exit("stopped", code=0) from None


@task(help={"engine": ENGINE, "volumes": "also delete the data", "yes": YES})
def down(ctx: Context, engine: str = "", volumes: bool = False, yes: bool = False) -> None:
    """Stop the app and remove its containers.

    Example: inv down --volumes
    """
    backend = _backend(ctx, engine)
    if volumes:
        console.confirm("Delete the development database?", yes)
    backend.down(volumes)
    console.say("stopped")


@task(
    help={
        "engine": ENGINE,
        "env": "an environment, as invoke.yaml names it (default: the app on this machine)",
        "service": "one service, such as app (default: all here; of an environment, the app's own)",
        "since": "the log since then, such as 10m or 2026-01-31T12:00:00",
        "follow": "follow the log until Ctrl-C",
        "tail": "the number of last lines to begin with (default: 100, or all if some are chosen)",
        "request": "only lines of a request, by its X-Request-ID: of proxy, app and jobs",
        "grep": "only lines in which this regular expression is found",
        "release": "only lines of a release's version, by its number or commit",
    }
)
def logs(
    ctx: Context,
    engine: str = "",
    env: str = "",
    service: str = "",
    since: str = "",
    follow: bool = False,
    tail: int = 0,
    request: str = "",
    grep: str = "",
    release: str = "",
) -> None:
    """Show the app's log, here or in an environment.

    Example: inv logs --env=prod --service=app --since=10m --follow
    """
    from .lib.environments import connection, logs

    only = logs.Filter(request, grep, release)
    tail = tail or (0 if only else 100)
    if not env:
        asked = Asked(follow, tail, service, since, logs.here(only))
        return _backend(ctx, engine).logs(asked)
    options = logs.LogOptions(follow, tail, since)
    with connection.reach(ctx, env) as target:
        logs.show(target, service, options, only)


@task(
    help={
        "command": "the command with its arguments, in quotes",
        "engine": ENGINE,
        "env": "run non-interactively in a one-off container of this environment",
        "wait": WAIT,
    }
)
def manage(ctx: Context, command: str, engine: str = "", env: str = "", wait: str = "") -> None:
    """Run a manage.py command, here or in an environment.

    Example: inv manage "migrate --plan"
    """
    from .lib.environments import connection, one_off

    if command.strip() in {"-h", "--help"}:
        what, hint = (
            f"{command} is no command of manage.py",
            "inv --help manage, or inv manage help",
        )
        raise TaskError(what, hint, ExitCode.REFUSED)
    if env:
        with connection.reach(ctx, env, wait=wait) as target:
            one_off.manage(target, shlex.split(command))
    elif status := _backend(ctx, engine).manage(shlex.split(command)):
        raise TaskError(f"manage.py {command} exited with status {status}", code=status)


@task(help={"engine": ENGINE})
def shell(ctx: Context, engine: str = "") -> None:
    """Open Django's shell in the app.

    Example: inv shell
    """
    raise Exit(code=_backend(ctx, engine).manage(["shell"]))


@task(
    help={
        "engine": ENGINE,
        "env": "ask the database of this environment, in read-only transactions",
        "command": "SQL to run (default: open a shell; with --env: what comes by stdin)",
    }
)
def psql(ctx: Context, engine: str = "", env: str = "", command: str = "") -> None:
    """Open the database's own shell, or ask an environment's database.

    Example: inv psql --env=prod --command="SELECT state FROM pg_stat_activity"
    """
    from .lib.environments import connection, queries

    if not env:
        raise Exit(code=_backend(ctx, engine).psql(command))
    statements = queries.typed(command)
    with connection.reach(ctx, env) as target:
        queries.ask(target, statements)
