"""A lab on this machine: a registry and servers like the real ones, to rehearse on."""

from __future__ import annotations

import sys

from invoke import Context, task

from .lib import console, options
from .lib.errors import TaskError

NAME = "lab name; several labs can run at once"
ORCHESTRATOR = (
    "what runs the lab's containers: swarm, compose or, but for rehearsals, kubernetes "
    "(default: swarm, or as the lab has)"
)


@task(
    help={
        "name": NAME,
        "nodes": "number of servers (default: 3, or as many as the lab has; 1 for compose)",
        "orchestrator": ORCHESTRATOR,
    }
)
def up(ctx: Context, name: str = "lab", nodes: int = 0, orchestrator: str = "") -> None:
    """Start a lab: a registry, and a Swarm of servers or one alone.

    Prints lines for the shell: after eval "$(./inv lab.up)" the tasks use the lab, in every
    environment. In a lab that exists, starts what is missing.

    Example: inv lab.up --nodes 5
    """
    from .lib.lab.config_files import exports
    from .lib.lab.lab import Lab

    with Lab(ctx, name).locked() as lab:
        variables = lab.up(nodes, orchestrator)
    if sys.stdout.isatty():
        console.say(f'to use the lab, type: eval "$(./inv lab.up --name {name})"')
    elif variables:
        console.result(exports(variables), masked=False)


@task(help={"name": NAME})
def down(ctx: Context, name: str = "lab") -> None:
    """Remove a lab, with all data on its servers.

    Example: inv lab.down
    """
    from .lib.lab.lab import Lab

    with Lab(ctx, name).locked() as lab:
        existed = lab.down()
    if not ctx.config.run.dry:
        console.say(f"lab {name}: {'removed' if existed else 'not found'}")


@task(help={"name": NAME, "json": options.JSON})
def status(ctx: Context, name: str = "lab", json: bool = False) -> None:
    """Show a lab's status (exits 1 if unhealthy).

    Example: inv lab.status
    """
    from .lib import reports
    from .lib.lab import status
    from .lib.lab.lab import Lab

    reports.show(status.check(Lab(ctx, name)), json, f"inv lab.up --name {name}")


@task(
    iterable=["event"],
    help={
        "name": NAME,
        "event": "run only this: branch, main, tag or rollback (repeat for more)",
        "keep": "keep the lab afterwards, to look around",
        "orchestrator": ORCHESTRATOR,
        "ci": "whose pipeline: gitlab or github",
    },
)
def rehearse(
    ctx: Context,
    event: list[str],
    name: str = "rehearsal",
    keep: bool = False,
    orchestrator: str = "",
    ci: str = "gitlab",
) -> None:
    """Run this commit's whole GitLab or GitHub pipeline in a lab.

    In a clean clone: for a merge request, the default branch, a tag, and a rollback after another
    tag. Shows each job with its time, digest and URL, and writes the logs to reports/rehearsal.
    Fails when a job fails, when another version is running than was deployed, or when a log
    contains a secret. Needs Node.js with npm, and rsync for GitLab. A lab that exists is kept.

    Example: inv rehearse --keep
    """
    from .lib.lab.lab import Lab
    from .lib.rehearsal import events, rehearsal, report

    selected = events.select(event)
    lab = Lab(ctx, name)
    rehearsal.install(ctx, ci)
    with lab.locked(), rehearsal.workspace(ctx, lab, keep, orchestrator, ci) as workspace:
        problems = events.run(workspace, selected) + report.save_logs(workspace)
        console.result(report.table(workspace))
    if keep:
        console.say(f'the lab stays: eval "$(./inv lab.up --name {name})"')
    if problems:
        raise TaskError("\ninv: ".join(problems), "see the logs in reports/rehearsal")
