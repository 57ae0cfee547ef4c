"""Chooses where the app runs on this machine: in Docker, or on this machine's Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import console
from ..docker import client
from ..errors import ExitCode, TaskError
from .compose import ComposeBackend
from .native import NativeBackend

if TYPE_CHECKING:
    from invoke import Context

    from ..project.settings import Settings
    from .base import Backend


def choose_backend(ctx: Context, settings: Settings, asked: str = "") -> Backend:
    """Where the app shall run: as asked, else as the settings say; said in one line.

    Raises TaskError when `asked` is no engine's name, or Docker is wanted and none answers.
    """
    wanted = asked or settings.dev.engine
    if wanted not in {"auto", "docker", "host"}:
        raise TaskError(
            f"unknown engine {wanted!r}", "use --engine=docker or --engine=host", ExitCode.REFUSED
        )
    version = "" if wanted == "host" else client.version()
    ci = os.environ.get("CI", "").lower() in {"1", "true"}
    if version:
        console.say(f"engine: docker {version}")
        return ComposeBackend(ctx, settings)
    if wanted == "docker" or (ci and wanted == "auto"):
        why = "" if wanted == "docker" else " (CI=true, so there is no falling back)"
        raise TaskError(
            f"no Docker engine answers{why}",
            "start Docker (bare Debian: lab/engine up), or add --engine=host",
            ExitCode.REFUSED,
        )
    why = "as asked" if wanted == "host" else "no Docker engine answers"
    console.say(f"engine: host ({why}): this machine's Python, SQLite, in-process cache and tasks")
    return NativeBackend(ctx, settings)
