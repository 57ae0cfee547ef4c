"""What an environment's services logged."""

from __future__ import annotations

from ..errors import ExitCode, TaskError
from ..orchestrators.base import LogOptions
from . import history
from .connection import Target


def show(target: Target, service: str, options: LogOptions) -> None:
    """Show what a service logged, or all with the app's image. Raises TaskError if unknown."""
    known = target.orchestrator.services()
    record = None if service else history.current(target.history.read())
    ours = target.history.stack(record, target.stack).ours if record else list(known)
    names = [service] if service else ours
    if not names or set(names) - set(known):
        what = f"{target.name} has no service {service!r}" if service else "nothing runs yet"
        hint = f"known: {', '.join(sorted(known)) or 'none'}"
        raise TaskError(what, hint, ExitCode.REFUSED)
    target.orchestrator.logs(names, options)
