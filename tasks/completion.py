"""Shell completion."""

from __future__ import annotations

from invoke import Context, task

from .lib import console


@task(help={"shell": "bash, zsh or fish"})
def completion(ctx: Context, shell: str = "bash") -> None:
    """Print the completion script for bash, zsh or fish.

    Example: inv completion --shell zsh  (then: eval "$(./inv completion --shell zsh)")
    """
    import io
    import re
    from contextlib import redirect_stdout

    from invoke.completion.complete import print_completion_script

    script = io.StringIO()
    with redirect_stdout(script):
        print_completion_script(shell=shell, names=["inv"])
    console.result(re.sub(r"\binv (?=[^\n]*--complete)", "./inv ", script.getvalue()))
