"""From the registry to the servers, and back."""

from __future__ import annotations

from invoke import Context, task

NAME = "which one, of an environment of many: review/NAME"
DOTENV = "write DEPLOY_URL and DEPLOY_IMAGE to this file"


@task(
    help={
        "env": "the environment, as invoke.yaml names it",
        "ref": "a commit, tag, branch or digest (default: what is released for it)",
    }
)
def preflight(ctx: Context, env: str = "", ref: str = "") -> None:
    """Tell everything that would make a deploy fail.

    Example: inv preflight --env=staging
    """
    from .lib import console, errors
    from .lib.deploys import preflight
    from .lib.environments import connection
    from .lib.project.settings import read_settings

    settings = read_settings(ctx)
    settings.environment(env)
    with connection.reach(ctx, settings, env) as target, errors.refusing():
        released = ref or target.registry.digest(env)
        image = preflight.resolve_image(target, ref) if released else None
        preflight.check(target, image)
        if image:
            preflight.render(target, image)
        console.result(preflight.report(target, image))


@task(
    help={
        "env": "the environment, as invoke.yaml names it",
        "name": NAME,
        "ref": "release this commit, tag, branch or digest (default: what is released)",
        "plan": "show what would change, and stop",
        "force": "deploy an untested image, for this reason, which is recorded",
        "dotenv": DOTENV,
    }
)
def deploy(
    ctx: Context,
    env: str = "",
    name: str = "",
    ref: str = "",
    plan: bool = False,
    force: str = "",
    dotenv: str = "",
) -> None:
    """Put an environment's image on its servers; nothing drops.

    Exit status: 1 failed and undone, 2 refused, 3 a person is needed, 4 locked.

    Example: inv deploy --env=staging --ref=main
    """
    from .lib import console, errors, files
    from .lib.deploys import deployment, preflight
    from .lib.environments import connection, dynamic, history, teardown
    from .lib.images import promotion
    from .lib.project.settings import read_settings

    settings = read_settings(ctx)
    with connection.reach(ctx, settings, dynamic.named(env, name)) as target:
        with errors.refusing():
            image = preflight.resolve_image(target, ref)
            if dynamic.is_dynamic(target.name) and not plan:
                teardown.make_ready(target)
            preflight.check(target, image, force)
            wanted = preflight.render(target, image)
        if plan or ctx.config.run.dry:
            deployment.plan(deployment.previous(target, target.releases.read()), wanted)
            return
        with target.locked("deploys") as lock:
            entries = deployment.settled_history(target)
            now, old = history.current(entries), deployment.previous(target, entries)
            deployment.plan(old, wanted)
            if now and deployment.is_current(target, now, old, wanted):
                console.say(f"release {now.number} runs already: nothing to do")
            else:
                if force:
                    promotion.admit(target.registry, image, force)
                made = history.new(entries, wanted.image, image.revision, force)
                deployment.deploy(target, wanted, made, old, lock)
            if ref and not dynamic.is_dynamic(target.name):
                deployment.mark(target, image)
        files.write({dotenv: deployment.dotenv(target, wanted)})
        console.result(wanted.image)


@task(
    help={
        "env": "the environment, as invoke.yaml names it",
        "to": "the number of a release, as inv releases shows it (default: the one before)",
        "force": "go back across a migration that cannot be reversed, for this reason",
        "dotenv": DOTENV,
    }
)
def rollback(ctx: Context, env: str = "", to: str = "", force: str = "", dotenv: str = "") -> None:
    """Go back to a release: its image, stack, configs and secrets.

    The database stays as it is.

    Example: inv rollback --env=prod
    """
    from .lib import console, errors, files
    from .lib.deploys import deployment, preflight
    from .lib.environments import connection, history
    from .lib.project.settings import read_settings

    settings = read_settings(ctx)
    with (
        connection.reach(ctx, settings, env) as target,
        target.locked("rolls back") as lock,
    ):
        entries = deployment.settled_history(target)
        goal = history.rollback_target(entries, to)
        across = history.irreversible_since(entries, goal)
        if across and not force:
            what = f"{', '.join(across)} cannot be reversed since release {goal.number}"
            raise errors.TaskError(
                what, 'restore a backup, or --force "reason"', errors.ExitCode.REFUSED
            )
        with errors.refusing():
            wanted, old = preflight.load_stack(target, goal), deployment.previous(target, entries)
        deployment.plan(old, wanted)
        made = history.new_rollback(entries, goal, force)
        deployment.deploy(target, wanted, made, old, lock)
        files.write({dotenv: deployment.dotenv(target, wanted)})
        console.result(wanted.image)


@task(
    help={
        "env": "the environment, as invoke.yaml names it",
        "name": NAME,
        "volumes": "delete its data and its secrets too",
        "yes": "do not ask",
    }
)
def destroy(
    ctx: Context, env: str = "", name: str = "", volumes: bool = False, yes: bool = False
) -> None:
    """Remove an environment from its servers.

    Its data and its secrets stay, unless --volumes is given: a deploy brings it back with them.

    Example: inv destroy --env=review --name=my-branch --volumes
    """
    from .lib import console, errors
    from .lib.environments import connection, dynamic, teardown
    from .lib.project.settings import read_settings

    settings = read_settings(ctx)
    with connection.reach(ctx, settings, dynamic.named(env, name)) as target:
        what = f"{target.stack}, its data and secrets too" if volumes else target.stack
        if not yes and not console.confirm(f"Remove {what} from {target.first.name}?"):
            raise errors.TaskError(
                "nothing was removed", "answer y, or add --yes", errors.ExitCode.REFUSED
            )
        with target.locked("removes it"):
            teardown.remove(target, volumes)
    console.say(f"removed {what}")
