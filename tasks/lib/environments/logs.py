"""What an environment's services logged."""

from __future__ import annotations

from ..errors import ExitCode, TaskError
from ..orchestrators.base import LogOptions
from ..project import contract
from .connection import Target


def show(target: Target, service: str, options: LogOptions) -> None:
    """Show what a service logged, or all with the app's image. Raises TaskError if unknown."""
    known = target.orchestrator.services()
    app = known.get(contract.APP)
    ours = [name for name, each in known.items() if not app or each.image == app.image]
    names = [service] if service else ours
    if not names or set(names) - set(known):
        what = f"{target.name} has no service {service!r}" if service else "nothing runs yet"
        hint = f"known: {', '.join(sorted(known)) or 'none'}"
        raise TaskError(what, hint, ExitCode.REFUSED)
    target.orchestrator.logs(names, options)
