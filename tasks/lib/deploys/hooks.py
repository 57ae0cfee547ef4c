"""The project's own steps around a deploy: executables in hooks/, run on this machine."""

from __future__ import annotations

import os
import subprocess
import sys

from .. import console, process
from ..environments.connection import Target
from ..environments.records import Record
from ..errors import ExitCode, TaskError

PRE, POST, FAILURE = "pre-deploy", "post-deploy", "on-failure"


def variables(target: Target, record: Record, why: str = "") -> dict[str, str]:
    """Return a hook's environment variables."""
    return {
        "DEPLOY_ENVIRONMENT": target.name,
        "DEPLOY_URL": target.environment.url,
        "DEPLOY_RELEASE": str(record.number),
        "DEPLOY_KIND": record.kind,
        "DEPLOY_IMAGE": record.image,
        "DEPLOY_COMMIT": record.revision,
        "DEPLOY_BY": record.by,
        "DEPLOY_ERROR": why,
    }


def run(target: Target, name: str, record: Record, why: str = "") -> None:
    """Run a hook, if the project has it. Raises TaskError (refused) when it fails or is late."""
    hook = target.hooks / name
    if not os.access(hook, os.X_OK):
        return
    console.step(f"hooks/{name}")
    # Its output is progress: stdout is the task's own.
    env = {**os.environ, **variables(target, record, why)}
    child = subprocess.Popen([str(hook)], cwd=hook.parents[1], env=env, stdout=sys.stderr)
    timeout = target.settings.deploy.timeout
    try:
        status = child.wait(timeout)
        what, hint = f"hooks/{name} exited with {status}", "its output is above"
    except subprocess.TimeoutExpired:
        status, hint = 1, "correct it, or raise deploy.timeout"
        what = f"hooks/{name} did not end within {timeout} s"
    finally:
        process.end(child)
    if status:
        raise TaskError(what, hint, ExitCode.REFUSED)


def attempt(target: Target, name: str, record: Record, why: str = "") -> None:
    """Run a hook whose failure is only a warning."""
    try:
        run(target, name, record, why)
    except TaskError as error:
        console.warn(str(error))
