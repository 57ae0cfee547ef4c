"""A new password for the database, without a gap: the old one works until nothing needs it."""

from __future__ import annotations

from ..environments import running, secret_values
from ..environments.connection import Target
from ..environments.lock import Lock
from ..errors import ExitCode, TaskError
from . import database, preflight, rendering
from .deployment import Deployment


def known(name: str) -> None:
    """See that a secret is a password of the database. Raises TaskError otherwise."""
    if name not in database.NAMES:
        what = f"{name or 'no secret'} is no password of the database"
        hint = f"{', '.join(database.NAMES)}; for others, inv secrets.set, then inv deploy"
        raise TaskError(what, hint, ExitCode.REFUSED)


def run(target: Target, name: str, lock: Lock) -> None:
    """Store a random password, and deploy what runs with it.

    Raises TaskError, with exit status 2 if that deploy could not succeed: nothing is stored then.
    """
    if name not in target.settings.deploy.secrets:
        raise TaskError(f"{name} is not in deploy.secrets", "inv secrets.list", ExitCode.REFUSED)
    now = running.known(target)
    if now.record is None:
        raise TaskError("nothing runs yet", f"inv deploy --env={target.name}", ExitCode.REFUSED)
    force = f"{name} is rotated"
    image, _ = preflight.prepare(target, now.record.digest, force, changes=False)
    target.orchestrator.set_secret(name, secret_values.random())
    stack = rendering.render(target, image, now.stack)
    deployment = Deployment.of_image(target, stack, image, lock, force)
    deployment.plan()
    deployment.run()
