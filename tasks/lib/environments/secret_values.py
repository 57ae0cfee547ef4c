"""The values of secrets: where they come from on their way to the servers."""

from __future__ import annotations

import getpass
import os
import secrets
import sys

import msgspec

from .. import console, redaction
from ..errors import ExitCode, TaskError
from ..project.settings import Settings
from ..reports import Report
from .connection import Target


def known(settings: Settings, name: str) -> None:
    """See that a secret is one of the project's. Raises TaskError otherwise."""
    if name not in settings.deploy.secrets:
        what = f"no secret is called {name!r}" if name else "which secret?"
        hint = f"known: {', '.join(settings.deploy.secrets)} (deploy.secrets in invoke.yaml)"
        raise TaskError(what, hint, ExitCode.REFUSED)


class Secret(msgspec.Struct, frozen=True):
    """A secret, and the name of its newest version; empty if it is missing."""

    name: str
    newest: str


class Secrets(Report, frozen=True, kw_only=True, tag="secrets"):
    """The secrets of an environment, without their values."""

    environment: str
    secrets: list[Secret]

    def text(self) -> str:
        """Return a table."""
        rows = [(each.name, each.newest or "missing") for each in self.secrets]
        return console.table(rows, ("secret", "newest version"))


def listed(target: Target) -> Secrets:
    """Return the secrets that the project wants, and those that are on the servers."""
    known = target.orchestrator.secrets()
    names = sorted({*target.settings.deploy.secrets, *known})
    found = [Secret(name, (known.get(name) or [""])[0]) for name in names]
    return Secrets(environment=target.name, secrets=found)


def read(name: str) -> str:
    """Return a secret: the variable of its name, else what is typed unseen, else stdin.

    Blanks and line breaks at its ends, and those of Windows, are removed, with a warning: a server
    would keep them. Raises TaskError for an empty one.
    """
    value = os.environ.get(name, "")
    if not value:
        typed = sys.stdin.isatty()
        value = getpass.getpass(f"{name}: ") if typed else sys.stdin.read()
    clean = value.replace("\r", "").strip()
    if not clean:
        hint = f"set the variable {name}, or pipe the value in, or add --random"
        raise TaskError(f"{name} is empty", hint, ExitCode.REFUSED)
    if clean != value.removesuffix("\n"):
        console.warn(f"{name}: blanks or line breaks at its end were removed")
    return redaction.know(name, clean)


def random() -> str:
    """Return a random value, long enough for Django's key."""
    return redaction.know("random", secrets.token_urlsafe(48))
