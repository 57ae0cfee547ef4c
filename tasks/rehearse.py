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
    from .lib import console, lab, settings

    place = lab.Lab(ctx, settings.read(ctx, missing_ok=True), name)
    with place.alone():
        exports = place.up(nodes)
    if sys.stdout.isatty():
        console.say(f'type this to work with it: eval "$(./inv lab.up --name {name})"')
    elif exports:
        print(exports)


@task(help={"name": NAME})
def down(ctx: Context, name: str = "lab") -> None:
    """Remove a lab with all that is on its servers.

    Example: inv lab.down
    """
    from .lib import console, lab, settings

    place = lab.Lab(ctx, settings.read(ctx, missing_ok=True), name)
    with place.alone():
        was = place.down()
    if not ctx.config.run.dry:
        console.say(f"lab {name}: {'removed' if was else 'there is none'}")


@task(help={"name": NAME})
def status(ctx: Context, name: str = "lab") -> None:
    """Tell how a lab's registry and servers are (exit 1: not well).

    Example: inv lab.status
    """
    from .lib import errors, lab, lab_report, settings

    report = lab_report.look(lab.Lab(ctx, settings.read(ctx, missing_ok=True), name))
    print(report.text)
    if report.wrong:
        raise errors.Failed(f"not well: {', '.join(report.wrong)}", f"inv lab.up --name {name}")
