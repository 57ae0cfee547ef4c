"""Chooses where the app runs on this machine: in Docker, or on this machine's Python."""

import os

from invoke import Context

from .. import console
from ..docker import client
from ..errors import ExitCode, TaskError
from ..project import contract
from ..project.settings import Settings
from .base import Backend
from .compose import ComposeBackend
from .native import NativeBackend


def choose_backend(ctx: Context, settings: Settings, asked: str = "") -> Backend:
    """Return the backend that was asked for, else the settings' one, and print which it is.

    Raises TaskError for an unknown engine, or when Docker is wanted and no engine answers.
    """
    wanted = asked or settings.dev.engine
    if wanted not in {"auto", "docker", "host"}:
        hint = "use --engine=docker or --engine=host"
        raise TaskError(f"unknown engine {wanted!r}", hint, ExitCode.REFUSED)
    version = "" if wanted == "host" else client.version(ctx)
    if version:
        console.say(f"engine: docker {version}")
        return ComposeBackend(ctx, settings)
    if wanted == "docker" or (console.is_ci() and wanted == "auto"):
        why = "" if wanted == "docker" else " (CI=true: no fallback to this machine's Python)"
        hint = "start Docker (bare Debian: lab/engine up), or add --engine=host"
        raise TaskError(f"no Docker engine answers{why}", hint, ExitCode.REFUSED)
    why = "as requested" if wanted == "host" else "no Docker engine answers"
    console.say(f"engine: host ({why}): this machine's Python, SQLite, in-process cache and tasks")
    _forget()
    return NativeBackend(ctx, settings)


def _forget() -> None:
    """Leave out the variables of this shell that name another database or other settings."""
    found = [name for name in contract.FOREIGN if os.environ.pop(name, "")]
    if found:
        console.warn(f"{', '.join(found)} of this shell: not used, the app has its own here")
