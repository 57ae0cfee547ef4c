"""A lab on this machine: a registry and servers like the real ones, to rehearse on."""

from __future__ import annotations

import sys

from invoke import Context, task

NAME = "which lab; several can be there side by side"


@task(help={"name": NAME, "nodes": "how many servers (default: 3, or as many as it has)"})
def up(ctx: Context, name: str = "lab", nodes: int = 0) -> None:
    """Start a registry and a Swarm of servers; prints how to use them.

    What it prints are lines for the shell: after eval "$(./inv lab.up)" the tasks work with the
    lab, whatever the environment. On a lab that is there, starts what is missing.

    Example: inv lab.up --nodes 5
    """
    from .lib import console
    from .lib.lab.lab import Lab
    from .lib.project.settings import read_settings

    lab = Lab(ctx, read_settings(ctx, missing_ok=True), name)
    with lab.locked():
        exports = lab.up(nodes)
    if sys.stdout.isatty():
        console.say(f'type this to work with it: eval "$(./inv lab.up --name {name})"')
    elif exports:
        console.result(exports)


@task(help={"name": NAME})
def down(ctx: Context, name: str = "lab") -> None:
    """Remove a lab with all that is on its servers.

    Example: inv lab.down
    """
    from .lib import console
    from .lib.lab.lab import Lab
    from .lib.project.settings import read_settings

    lab = Lab(ctx, read_settings(ctx, missing_ok=True), name)
    with lab.locked():
        was = lab.down()
    if not ctx.config.run.dry:
        console.say(f"lab {name}: {'removed' if was else 'target is none'}")


@task(help={"name": NAME})
def status(ctx: Context, name: str = "lab") -> None:
    """Tell how a lab's registry and servers are (exit 1: not well).

    Example: inv lab.status
    """
    from .lib import console, errors
    from .lib.lab import status
    from .lib.lab.lab import Lab
    from .lib.project.settings import read_settings

    report = status.look(Lab(ctx, read_settings(ctx, missing_ok=True), name))
    console.result(report.text)
    if report.wrong:
        raise errors.TaskError(f"not well: {', '.join(report.wrong)}", f"inv lab.up --name {name}")


@task(
    iterable=["event"],
    help={
        "name": NAME,
        "event": "only this of branch, main, tag and rollback (again for more)",
        "keep": "leave the lab as it is afterwards, to look around",
    },
)
def rehearse(ctx: Context, event: list[str], name: str = "rehearsal", keep: bool = False) -> None:
    """Run this commit's whole GitLab pipeline for real, in a lab.

    In a clean clone: for a merge request, the default branch, a tag, and a rollback after another
    tag. Shows each job, its time, its digest and where it deployed to; the logs are kept in
    reports/rehearsal. Fails when a job fails, when something else serves than was deployed, or when
    a secret is in a log. Needs Node.js with npm, and rsync. A lab that is there already stays.

    Example: inv rehearse --keep
    """
    from .lib import console, errors
    from .lib.lab.lab import Lab
    from .lib.project.settings import read_settings
    from .lib.rehearsal import events, gitlab_tool, rehearsal, report

    chosen = events.wanted(event)
    lab = Lab(ctx, read_settings(ctx, missing_ok=True), name)
    gitlab_tool.install(ctx)
    with lab.locked(), rehearsal.staged(ctx, lab, keep) as stage:
        problems = events.perform(stage, chosen) + report.search(stage)
        console.result(report.report(stage))
    if keep:
        console.say(f'the lab stays: eval "$(./inv lab.up --name {name})"')
    if problems:
        raise errors.TaskError("\ninv: ".join(problems), "reports/rehearsal has the logs")
