"""From the registry to the servers, and back."""

from __future__ import annotations

from functools import partial

from invoke import Context, task

from .lib import console, files
from .lib.options import CONFIRM, ENV, JSON, NAME, REPORT, VERIFY, WAIT, YES

# What deploys and rollbacks have alike; Invoke takes the texts out of the dict of each task.
ROLLOUT = {
    "env": ENV,
    "wait": WAIT,
    "verify_url": VERIFY,
    "dotenv": "write DEPLOY_URL and DEPLOY_IMAGE to this file",
    "report": REPORT,
    "json": JSON,
}


@task(
    help={
        "env": ENV,
        "ref": "a commit, tag, branch or digest (default: the released image)",
        "verify_url": VERIFY,
        "json": JSON,
    }
)
def preflight(
    ctx: Context, env: str = "", ref: str = "", verify_url: bool = True, json: bool = False
) -> None:
    """Run all pre-deploy checks without deploying.

    Example: inv preflight --env=staging
    """
    from .lib import reports
    from .lib.deploys import preflight
    from .lib.environments.connection import reach

    with reach(ctx, env, verify_url=verify_url) as target:
        reports.show(preflight.dry_run(target, ref), json)


@task(
    help={
        **ROLLOUT,
        "name": NAME,
        "ref": "deploy and release this commit, tag, branch or digest (default: the released one)",
        "plan": "show what would change, and stop",
        "show": "manifests: with --plan, print the files of the stack",
        "force": "deploy an untested image, or a late one, for this reason, which is recorded",
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
    report: str = "",
    json: bool = False,
    wait: str = "",
) -> None:
    """Deploy an environment's released image with zero downtime.

    Exit status: 1 failed and rolled back, 2 refused, 3 a person is needed, 4 locked.

    Example: inv deploy --env=staging --ref=main
    """
    from .lib.deploys import html_report, outcome, turn
    from .lib.deploys import plan as plans
    from .lib.deploys.deployment import Deployment
    from .lib.deploys.preflight import prepare
    from .lib.deploys.released import release
    from .lib.environments import connection, dynamic

    plans.require_shown(show, plan)
    wanted = dynamic.named(env, name)
    with (
        html_report.written(report, wanted, plan) as page,
        connection.reach(ctx, wanted, verify_url=verify_url, wait=wait) as target,
    ):
        prepared = partial(prepare, target, ref, force, changes=not plan)
        if plan or ctx.config.run.dry:
            image, stack = prepared()
            return page.show(plans.read(target, stack, image.revision, show), json)
        with turn.to_deploy(target, prepared, force) as (lock, image, stack):
            deployment = page.of(Deployment.of_image(target, stack, image, lock, force))
            deployment.plan()
            deployment.run_if_needed()
            if ref:
                release(deployment)
        files.write({dotenv: deployment.dotenv()})
        page.show(outcome.read(deployment), json)


@task(
    help={
        **ROLLOUT,
        "to": "the number of a release, as inv history shows it (default: the one before)",
        "force": "go back across an irreversible migration, for this reason",
    }
)
def rollback(
    ctx: Context,
    env: str = "",
    to: str = "",
    force: str = "",
    verify_url: bool = True,
    dotenv: str = "",
    report: str = "",
    json: bool = False,
    wait: str = "",
) -> None:
    """Roll back to a release: its image, stack, configs and secrets.

    The image is released for the environment again. The database stays as it is.

    Example: inv rollback --env=prod
    """
    from .lib.deploys import html_report, outcome, turn
    from .lib.deploys.deployment import Deployment
    from .lib.deploys.released import release
    from .lib.environments.connection import reach

    with (
        html_report.written(report, env) as page,
        reach(ctx, env, verify_url=verify_url, wait=wait) as target,
        turn.to_roll_back(target, to, force) as lock,
    ):
        deployment = page.of(Deployment.back_to(target, to, lock, force))
        deployment.plan()
        deployment.run()
        release(deployment)
        files.write({dotenv: deployment.dotenv()})
        page.show(outcome.read(deployment), json)


@task(
    help={
        "env": ENV,
        "wait": WAIT,
        "name": NAME,
        "volumes": "delete its data and its secrets, too",
        "yes": YES,
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
    wait: str = "",
) -> None:
    """Remove an environment from its servers.

    Its data and its secrets stay, unless --volumes is given: the next deploy uses them again.

    Example: inv destroy --env=review --name=my-branch --volumes
    """
    from .lib.deploys import monitoring
    from .lib.environments import connection, dynamic, teardown

    with connection.reach(ctx, dynamic.named(env, name), wait=wait) as target:
        monitoring.require_removable(target)
        what = f"{target.stack}, its data and secrets too" if volumes else target.stack
        question = f"Remove {what} from {target.store.name}?"
        target.confirm(question, yes, confirm, "nothing was removed")
        with target.locked("removes it"):
            teardown.remove(target, volumes)
    console.say(f"removed {what}")
