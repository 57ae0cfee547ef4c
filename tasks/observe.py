"""Show the state of this machine and of environments; nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from invoke import Context, task
from invoke.exceptions import Exit

from .lib import console
from .lib.errors import TaskError

ENV = "the environment, as invoke.yaml names it"
# How many deploys the history shows.
NEWEST = 30


@task
def doctor(ctx: Context) -> None:
    """Check this machine and invoke.yaml, and suggest fixes.

    Example: inv doctor
    """
    from .lib.app import doctor
    from .lib.project.settings import read_settings

    findings = doctor.check(ctx, read_settings(ctx))
    console.result(console.table([finding[:4] for finding in findings]))
    for each in findings:
        if each.lines:
            console.result(f"\n{each.what}: {each.detail} - {each.fix}:\n\n{each.lines}")
    raise Exit(code=int(any(finding.state == "wrong" for finding in findings)))


@task
def variables(ctx: Context) -> None:
    """Print the variables that Docker needs without Invoke.

    Prints lines for the shell: eval "$(./inv variables)".

    Example: inv variables
    """
    from .lib.project.settings import read_settings

    names = read_settings(ctx).app.variables()
    console.result("\n".join(f"export {key}={quote(value)}" for key, value in names.items()))


@task(help={"env": ENV, "notify": "send what is wrong to the receivers of invoke.yaml's messages"})
def status(ctx: Context, env: str = "", notify: bool = False) -> None:
    """Show an environment's status (exits 1 if unhealthy).

    Example: inv status --env=prod
    """
    from .lib.environments import connection, status

    with connection.reach(ctx, env) as target:
        text, problems = status.status(target)
        if notify:
            from .lib.deploys import notices

            notices.problems(target, problems)
        _show(text, problems, f"see inv logs --env={env}")


@task(help={"env": ENV})
def jobs(ctx: Context, env: str = "") -> None:
    """Show background jobs and workers (exits 1 if one is stuck).

    Example: inv jobs --env=prod
    """
    from .lib.environments import connection, jobs

    with connection.reach(ctx, env) as target:
        _show(*jobs.report(target), f"inv logs --env={env} --service=worker")


def _show(text: str, problems: Sequence[str], hint: str) -> None:
    console.result(text)
    if problems:
        raise TaskError("; ".join(problems), hint)


@task(
    name="list",
    default=True,
    help={"env": ENV, "all": f"show every deploy, not only the newest {NEWEST}"},
)
def history(ctx: Context, env: str = "", all: bool = False) -> None:
    """List an environment's deploys, newest first.

    Example: inv history --env=prod
    """
    from .lib.environments import connection, status

    with connection.reach(ctx, env) as target:
        records = target.history.read()
        shown = records if all else records[:NEWEST]
        console.result(status.history_table(shown, bool(target.holder())))
        if len(shown) < len(records):
            console.say(f"{len(records) - len(shown)} older ones: --all shows them")


@task(help={"env": ENV, "newest": "how many lines of the log to look at"})
def audit(ctx: Context, env: str = "", newest: int = 200) -> None:
    """Show who did what to an environment, newest first.

    It has each task that held the environment's lock, or removed it, and how it ended.

    Example: inv history.audit --env=prod
    """
    from .lib.environments import audit, connection

    with connection.reach(ctx, env) as target:
        console.result(audit.table(audit.read(target, newest)))


@task(help={"env": ENV})
def adopt(ctx: Context, env: str = "") -> None:
    """Record what runs, when the history on the server lacks it.

    Nothing that runs is changed. Use it after the history was lost or moved, or for a
    stack that another tool deployed.

    Example: inv history.adopt --env=prod
    """
    from .lib.environments import adoption, connection

    with connection.reach(ctx, env) as target, target.locked("adopts what runs"):
        made = adoption.adopt(target)
        console.say(f"release {made.number} is recorded: {made.image}")
