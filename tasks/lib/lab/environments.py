"""The set-up of a lab's servers for each of its environments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from invoke import Context

from .. import console
from ..environments import bootstrap, connection
from ..project.settings import MANY, Settings


def set_up(ctx: Context, settings: Settings, overlay: Path, variables: Mapping[str, str]) -> None:
    """Set up each environment's servers and secrets, as for real ones.

    Args:
        overlay: the lab's settings file.
        variables: what the lab exports: its keys, and a value for each secret.
    """
    more = yaml.safe_load(overlay.read_text("utf-8"))
    merged = msgspec.convert(merge(msgspec.to_builtins(settings), more), Settings)
    static = [name for name in more["environments"] if not name.endswith(MANY)]
    for name in static:
        with connection.reach(ctx, name, merged, {**os.environ, **variables}) as target:
            for _ in bootstrap.set_up(target):
                pass
            known = target.orchestrator.secrets()
            for secret in set(merged.deploy.secrets) - set(known):
                target.orchestrator.set_secret(secret, variables[secret])
    console.say(f"ready to deploy to: {', '.join(static)}")


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two mappings; where both have a value, the second's counts."""
    both = dict(under)
    for key, value in over.items():
        mine = both.get(key)
        nested = isinstance(value, Mapping) and isinstance(mine, Mapping)
        both[key] = merge(mine, value) if nested else value  # type: ignore[arg-type]
    return both
