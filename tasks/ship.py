"""From the registry to the servers, and back."""

from __future__ import annotations

from invoke import Context, task

from .lib import console, files

ENV = "the environment, as invoke.yaml names it"
NAME = "the name of a dynamic environment: NAME of review/NAME"
VERIFY = "check the site from here (default), or on its server: for one not reached from here (yet)"
CONFIRM = "the environment's name, instead of typing it, if invoke.yaml protects it"
DOTENV = "write DEPLOY_URL and DEPLOY_IMAGE to this file"


@task(
    help={
        "env": ENV,
        "ref": "a commit, tag, branch or digest (default: the released image)",
        "verify_url": VERIFY,
    }
)
def preflight(ctx: Context, env: str = "", ref: str = "", verify_url: bool = True) -> None:
    """Run all pre-deploy checks without deploying.

    Example: inv preflight --env=staging
    """
    from .lib.deploys import preflight
    from .lib.environments.connection import reach

    with reach(ctx, env, verify_url=verify_url) as target:
        console.result(console.as_typed(preflight.dry_run(target, ref)))


@task(
    help={
        "env": ENV,
        "name": NAME,
        "ref": "deploy and release this commit, tag, branch or digest (default: the released one)",
        "plan": "show what would change, and stop",
        "show": "manifests: with --plan, print the files of the stack",
        "force": "deploy an untested image, or a late one, for this reason, which is recorded",
        "verify_url": VERIFY,
        "dotenv": DOTENV,
    }
)
def deploy(
    ctx: Context,
    env: str = "",
    name: str = "",
    ref: str = "",
    plan: bool = False,
    show: str = "",
    force: str = "",
    verify_url: bool = True,
    dotenv: str = "",
) -> None:
    """Deploy an environment's released image with zero downtime.

    Exit status: 1 failed and rolled back, 2 refused, 3 a person is needed, 4 locked.

    Example: inv deploy --env=staging --ref=main
    """
    from .lib.deploys.deployment import Deployment
    from .lib.deploys.plan import require_shown, show_plan
    from .lib.deploys.preflight import prepare
    from .lib.deploys.released import release
    from .lib.environments import connection, dynamic

    require_shown(show, plan)
    with connection.reach(ctx, dynamic.named(env, name), verify_url=verify_url) as target:
        image, stack = prepare(target, ref, force, changes=not plan)
        if plan or ctx.config.run.dry:
            return show_plan(target, stack, show)
        with target.locked("deploys", str(image)) as lock:
            deployment = Deployment.of_image(target, stack, image, lock, force)
            deployment.plan()
            deployment.run_if_needed()
            if ref:
                release(deployment)
        files.write({dotenv: deployment.dotenv()})
        console.result(stack.image)


@task(
    help={
        "env": ENV,
        "to": "the number of a release, as inv history shows it (default: the one before)",
        "force": "go back across an irreversible migration, for this reason",
        "verify_url": VERIFY,
        "dotenv": DOTENV,
    }
)
def rollback(
    ctx: Context,
    env: str = "",
    to: str = "",
    force: str = "",
    verify_url: bool = True,
    dotenv: str = "",
) -> None:
    """Roll back to a release: its image, stack, configs and secrets.

    The image is released for the environment again. The database stays as it is.

    Example: inv rollback --env=prod
    """
    from .lib.deploys.deployment import Deployment
    from .lib.deploys.released import release
    from .lib.environments.connection import reach

    with (
        reach(ctx, env, verify_url=verify_url) as target,
        target.locked("rolls back", to) as lock,
    ):
        deployment = Deployment.back_to(target, to, lock, force)
        deployment.plan()
        deployment.run()
        release(deployment)
        files.write({dotenv: deployment.dotenv()})
        console.result(deployment.stack.image)


@task(
    help={
        "env": ENV,
        "name": NAME,
        "volumes": "delete its data and its secrets, too",
        "yes": "do not ask",
        "confirm": CONFIRM,
    }
)
def destroy(
    ctx: Context,
    env: str = "",
    name: str = "",
    volumes: bool = False,
    yes: bool = False,
    confirm: str = "",
) -> None:
    """Remove an environment from its servers.

    Its data and its secrets stay, unless --volumes is given: the next deploy uses them again.

    Example: inv destroy --env=review --name=my-branch --volumes
    """
    from .lib.environments import connection, dynamic, teardown

    with connection.reach(ctx, dynamic.named(env, name)) as target:
        what = f"{target.stack}, its data and secrets too" if volumes else target.stack
        question = f"Remove {what} from {target.store.name}?"
        target.confirm(question, yes, confirm, "nothing was removed")
        with target.locked("removes it"):
            teardown.remove(target, volumes)
    console.say(f"removed {what}")
