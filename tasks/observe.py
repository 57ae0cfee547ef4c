"""Tasks that only look."""

from __future__ import annotations

from invoke import Context, task
from invoke.exceptions import Exit


@task
def doctor(ctx: Context) -> None:
    """Check this machine and suggest fixes.

    Example: inv doctor
    """
    from .lib import console
    from .lib.app import doctor
    from .lib.project.settings import read_settings

    findings = doctor.check(ctx, read_settings(ctx))
    console.result(doctor.text(findings))
    raise Exit(code=int(any(finding.state == "wrong" for finding in findings)))


@task(help={"env": "the environment, as invoke.yaml names it"})
def status(ctx: Context, env: str = "") -> None:
    """Tell how an environment is (exit 1: not well).

    Example: inv status --env=prod
    """
    from .lib import console, errors
    from .lib.environments import connection, status
    from .lib.project.settings import read_settings

    with connection.reach(ctx, read_settings(ctx), env) as target:
        text, wrong = status.status(target)
        console.result(text)
        if wrong:
            raise errors.TaskError("; ".join(wrong), f"inv logs --env={env} tells more")


@task(help={"env": "the environment, as invoke.yaml names it"})
def releases(ctx: Context, env: str = "") -> None:
    """List an environment's releases, the newest first.

    Example: inv releases --env=prod
    """
    from .lib import console
    from .lib.environments import connection, status
    from .lib.project.settings import read_settings

    with connection.reach(ctx, read_settings(ctx), env) as target:
        locked = bool(target.holder())
        console.result(status.history(target.releases.read(), locked))


@task(help={"shell": "bash, zsh or fish"})
def completion(ctx: Context, shell: str = "bash") -> None:
    """Print completion for a shell.

    Example: inv completion --shell zsh  (then: eval "$(./inv completion --shell zsh)")
    """
    import io
    import re
    from contextlib import redirect_stdout

    from invoke.completion.complete import print_completion_script

    from .lib import console

    script = io.StringIO()
    with redirect_stdout(script):
        print_completion_script(shell=shell, names=["inv"])
    console.result(re.sub(r"\binv (?=[^\n]*--complete)", "./inv ", script.getvalue()))
