"""The project's own steps around a deploy: executables in hooks/, run here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .. import console, process
from ..errors import ExitCode, TaskError
from ..project.settings import ROOT

if TYPE_CHECKING:
    from ..environments.connection import Target
    from ..environments.history import Release

PRE, POST, FAILURE = "pre-deploy", "post-deploy", "on-failure"


def facts(target: Target, release: Release, why: str = "") -> dict[str, str]:
    """What a hook is told, in its environment."""
    return {
        "DEPLOY_ENVIRONMENT": target.name,
        "DEPLOY_URL": target.environment.url,
        "DEPLOY_RELEASE": str(release.number),
        "DEPLOY_KIND": release.kind,
        "DEPLOY_IMAGE": release.image,
        "DEPLOY_COMMIT": release.revision,
        "DEPLOY_BY": release.by,
        "DEPLOY_ERROR": why,
    }


def run(name: str, told: Mapping[str, str], timeout: float) -> None:
    """Run a hook, if there is one. Raises TaskError (refused) when it fails or takes too long.

    Args:
        timeout: seconds that it may take.
    """
    hook = ROOT / "hooks" / name
    if not os.access(hook, os.X_OK):
        return
    console.step(f"hooks/{name}")
    # What it says is progress: stdout is the task's own.
    env = {**os.environ, **told}
    child = subprocess.Popen([str(hook)], cwd=ROOT, env=env, stdout=sys.stderr)
    try:
        status = child.wait(timeout)
    except subprocess.TimeoutExpired:
        raise TaskError(
            f"hooks/{name} did not end within {timeout:.0f} s", "mend it", ExitCode.REFUSED
        ) from None
    finally:
        process.end(child)
    if status:
        raise TaskError(
            f"hooks/{name} ended with {status}", "what it says is above", ExitCode.REFUSED
        )


def attempt(name: str, told: Mapping[str, str], timeout: float) -> None:
    """Run a hook whose failure only deserves a warning."""
    try:
        run(name, told, timeout)
    except TaskError as error:
        console.warn(str(error))
