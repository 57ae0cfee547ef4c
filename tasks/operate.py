"""Operate an environment: its servers, its deploy lock."""

from __future__ import annotations

from invoke import Context, task

from .lib import console
from .lib.options import ENV, JSON, WAIT, YES


@task(help={"env": ENV, "plan": "show what would change, and stop"})
def setup(ctx: Context, env: str = "", plan: bool = False) -> None:
    """Set up an environment's servers and report changes.

    Each needs sshd and an `admin` who can be root (see invoke.yaml), or Docker and the users of
    `hosts` in the group docker.

    Example: inv server.setup --env=staging --plan
    """
    from .lib.environments import bootstrap, connection, server_setup

    if plan or ctx.config.run.dry:
        found = server_setup.found(ctx, env)
        return console.result(console.as_typed("\n".join(found)) or f"{env}: nothing to do")
    with server_setup.reach(ctx, env) as servers:
        changed = server_setup.set_up(ctx, servers)
    with connection.reach(ctx, env) as target:
        for line in bootstrap.set_up(target):
            console.say(line)
            changed = True
    console.say(f"{env}: ready" + ("" if changed else ", nothing to do"))


@task(help={"env": ENV, "json": JSON})
def check(ctx: Context, env: str = "", json: bool = False) -> None:
    """Check the servers for drift (exits 1 if one differs).

    Example: inv server.check --env=staging
    """
    from .lib import reports
    from .lib.environments import server_setup

    reports.show(server_setup.checked(ctx, env), json)


@task(name="up", help={"env": ENV, "wait": WAIT})
def monitor_up(ctx: Context, env: str = "", wait: str = "") -> None:
    """Set up or renew the monitoring of an environment's servers.

    A stack of its own measures all environments that share these servers, and touches none of
    their replicas. Run it again after a first deploy, or when the processes of the app change.

    Example: inv monitor.up --env=prod
    """
    from .lib.deploys import monitoring, shared_servers

    with shared_servers.reach(ctx, env, wait) as target:
        console.say(f"measures {', '.join(monitoring.up(target))} - inv monitor --env={env}")


@task(name="try", help={"env": ENV})
def monitor_try(ctx: Context, env: str = "") -> None:
    """Raise an alert for a minute, to see that it arrives.

    Example: inv monitor.try --env=prod
    """
    from .lib.deploys import monitoring, shared_servers

    with shared_servers.reach(ctx, env) as target:
        monitoring.try_alert(target)
        console.say("the alert Test is raised: it arrives within a minute where alerts go")


@task(name="down", help={"env": ENV, "volumes": "delete what was measured, too", "wait": WAIT})
def monitor_down(ctx: Context, env: str = "", volumes: bool = False, wait: str = "") -> None:
    """Remove the monitoring of an environment's servers.

    Example: inv monitor.down --env=prod
    """
    from .lib.deploys import monitoring, shared_servers

    with shared_servers.reach(ctx, env, wait) as target, target.locked("removes monitoring"):
        monitoring.down(target, volumes)
        console.say("monitoring is removed" + ("" if volumes else "; what was measured stays"))


@task(help={"env": ENV, "yes": YES})
def unlock(ctx: Context, env: str = "", yes: bool = False) -> None:
    """Remove an environment's deploy lock by force.

    Rarely needed: the lock of a deploy that died expires within a minute.

    Example: inv unlock --env=staging
    """
    from .lib.environments import connection

    with connection.reach(ctx, env) as target:
        holder = target.holder(expired=True)
        if not holder:
            return console.say(f"{env} is not locked")
        question = f"{env} is locked by {holder}. Remove the lock?"
        console.confirm(question, yes, f"locked by {holder}")
        target.unlock()
        console.say(f"removed the lock of {holder}")
