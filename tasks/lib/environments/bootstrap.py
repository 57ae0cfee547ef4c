"""An environment's servers are set up, and a dynamic environment gets its secrets."""

from __future__ import annotations

from collections.abc import Iterator

from .. import console
from ..project import contract
from . import secret_values
from .connection import Target


def set_up(target: Target) -> Iterator[str]:
    """Set up an environment's servers; yield a line for each change. Run again, it does nothing."""
    yield from target.orchestrator.set_up()
    yield from target.store.set_up()


def make_ready(target: Target) -> None:
    """Set up a dynamic environment's servers, and make up the secrets that it lacks."""
    for line in set_up(target):
        console.say(line)
    list(make_up_secrets(target))


def make_up_secrets(target: Target) -> Iterator[str]:
    """Store a random value for each secret that an environment lacks; yield their new names."""
    known = target.orchestrator.secrets()
    for name in target.settings.deploy.secrets:
        if name not in known and name not in contract.GIVEN:
            yield target.orchestrator.set_secret(name, secret_values.random())
