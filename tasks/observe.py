"""Show the state of this machine and of environments; nothing is changed."""

from __future__ import annotations

from shlex import quote

from invoke import Context, task

from .lib import console
from .lib.errors import ExitCode, TaskError
from .lib.options import ENV, JSON, WAIT

# How many deploys the history shows.
NEWEST = 30


@task(help={"json": JSON})
def doctor(ctx: Context, json: bool = False) -> None:
    """Check this machine and invoke.yaml, and suggest fixes.

    Example: inv doctor
    """
    from .lib import reports
    from .lib.app import doctor
    from .lib.project.settings import read_settings

    reports.show(doctor.check(ctx, read_settings(ctx)), json)


@task
def variables(ctx: Context) -> None:
    """Print the variables that Docker needs without Invoke.

    Prints lines for the shell: eval "$(./inv variables)".

    Example: inv variables
    """
    from .lib.project.settings import read_settings

    names = read_settings(ctx).app.variables()
    console.result("\n".join(f"export {key}={quote(value)}" for key, value in names.items()))


@task(
    help={
        "env": ENV,
        "notify": "send what is wrong, or why that is not known, to invoke.yaml's messages",
        "watch": "look every 3 seconds until Ctrl-C; it then exits with 0",
        "json": JSON,
    }
)
def status(
    ctx: Context, env: str = "", notify: bool = False, watch: bool = False, json: bool = False
) -> None:
    """Show an environment's status (exits 1 if unhealthy).

    Example: inv status --env=prod --watch
    """
    from .lib import reports
    from .lib.deploys import notices, status_metrics
    from .lib.environments import connection, status, watching

    if watch and notify:
        hint = "use one of them; a job on a schedule can notify"
        raise TaskError("--watch sends no messages", hint, ExitCode.REFUSED)
    with notices.of_status(ctx, env, notify) as send, connection.reach(ctx, env) as target:
        if watch:
            return watching.watch(target, json)
        found = status.read(target)
        status_metrics.write(target, found, notified=send(found))
        reports.show(found, json, f"see inv logs --env={env}")


@task(help={"env": ENV, "json": JSON})
def jobs(ctx: Context, env: str = "", json: bool = False) -> None:
    """Show background jobs and workers (exits 1 if one is stuck).

    Example: inv jobs --env=prod
    """
    from .lib import reports
    from .lib.environments import connection, jobs

    with connection.reach(ctx, env) as target:
        reports.show(jobs.read(target), json, f"inv logs --env={env} --service=worker")


@task(
    name="open",
    default=True,
    help={"env": ENV, "port": "of 127.0.0.1 (default: dev.monitoringport in invoke.yaml)"},
)
def monitor(ctx: Context, env: str = "", port: int = 0) -> None:
    """Open the monitoring page here, through SSH, until Ctrl-C.

    No port of a server is open for it. inv monitor.up sets monitoring up.

    Example: inv monitor --env=prod
    """
    from .lib import process
    from .lib.deploys import monitoring, shared_servers

    with shared_servers.reach(ctx, env) as target, monitoring.page(target, port) as url:
        console.result(url)
        process.until_interrupted()


@task(
    name="list",
    default=True,
    help={"env": ENV, "all": f"show every deploy, not only the newest {NEWEST}", "json": JSON},
)
def history(ctx: Context, env: str = "", all: bool = False, json: bool = False) -> None:
    """List an environment's deploys, newest first.

    Example: inv history --env=prod
    """
    from .lib import reports
    from .lib.environments import connection, releases

    with connection.reach(ctx, env) as target:
        found = releases.read(target, 0 if all else NEWEST)
    reports.show(found, json)
    if found.older:
        console.say(f"{found.older} older ones: --all shows them")


@task(help={"env": ENV, "number": "of a release (default: the newest)", "json": JSON})
def show(ctx: Context, env: str = "", number: str = "", json: bool = False) -> None:
    """Show one deploy; of a failed one also what it logged last.

    That is recorded before the replica is removed: no log has it any more.

    Example: inv history.show --env=prod --number=12
    """
    from .lib import reports
    from .lib.environments import connection, releases

    with connection.reach(ctx, env) as target:
        reports.show(releases.show(target, number), json)


@task(help={"env": ENV, "newest": "how many lines of the log to look at", "json": JSON})
def audit(ctx: Context, env: str = "", newest: int = 200, json: bool = False) -> None:
    """Show who did what to an environment, newest first.

    It has each task that held the environment's lock, or removed it, and how it ended.

    Example: inv history.audit --env=prod
    """
    from .lib import reports
    from .lib.environments import audit, connection

    with connection.reach(ctx, env) as target:
        reports.show(audit.read(target, newest), json)


@task(help={"env": ENV, "wait": WAIT})
def adopt(ctx: Context, env: str = "", wait: str = "") -> None:
    """Record what runs, when the history on the server lacks it.

    Nothing that runs is changed. Use it after the history was lost or moved, or for a
    stack that another tool deployed.

    Example: inv history.adopt --env=prod
    """
    from .lib.environments import adoption, connection

    with connection.reach(ctx, env, wait=wait) as target, target.locked("adopts what runs"):
        made = adoption.adopt(target)
        console.say(f"release {made.number} is recorded: {made.image}")
