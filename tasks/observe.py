"""Show the state of this machine and of environments; nothing is changed."""

from __future__ import annotations

from invoke import Context, task
from invoke.exceptions import Exit

from .lib import console
from .lib.errors import TaskError


@task
def doctor(ctx: Context) -> None:
    """Check this machine and suggest fixes.

    Example: inv doctor
    """
    from .lib.app import doctor
    from .lib.project.settings import read_settings

    findings = doctor.check(ctx, read_settings(ctx))
    console.result(console.table(findings))
    raise Exit(code=int(any(finding.state == "wrong" for finding in findings)))


@task(help={"env": "the environment, as invoke.yaml names it"})
def status(ctx: Context, env: str = "") -> None:
    """Show an environment's status (exits 1 if unhealthy).

    Example: inv status --env=prod
    """
    from .lib.environments import connection, status

    with connection.reach(ctx, env) as target:
        text, problems = status.status(target)
        console.result(text)
        if problems:
            raise TaskError("; ".join(problems), f"see inv logs --env={env}")


@task(help={"env": "the environment, as invoke.yaml names it"})
def history(ctx: Context, env: str = "") -> None:
    """List an environment's deploys, newest first.

    Example: inv history --env=prod
    """
    from .lib.environments import connection, status

    with connection.reach(ctx, env) as target:
        console.result(status.history_table(target.history.read(), bool(target.holder())))
