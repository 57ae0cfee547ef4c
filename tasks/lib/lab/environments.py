"""A lab's servers made ready for every environment that is in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from .. import console
from ..environments import bootstrap, connection
from ..project.settings import MANY, Settings

if TYPE_CHECKING:
    from invoke import Context


def prepare(ctx: Context, settings: Settings, overlay: Path, variables: Mapping[str, str]) -> None:
    """Set up each environment's servers and secrets, as a person would for real ones.

    Args:
        overlay: the lab's settings file.
        variables: what the lab exports: its keys, and a value for each secret.
    """
    more = yaml.safe_load(overlay.read_text("utf-8"))
    facts = msgspec.convert(merge(msgspec.to_builtins(settings), more), Settings)
    there_for_good = [name for name in more["environments"] if not name.endswith(MANY)]
    for name in there_for_good:
        with connection.reach(ctx, facts, name, {**os.environ, **variables}) as target:
            for _ in bootstrap.set_up(target):
                pass
            known = target.orchestrator.secrets()
            for secret in set(facts.deploy.secrets) - set(known):
                target.orchestrator.set_secret(secret, variables[secret])
    console.say(f"ready to deploy to: {', '.join(there_for_good)}")


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two mappings as one; where both have a value, that of the second counts."""
    both = dict(under)
    for key, value in over.items():
        mine = both.get(key)
        nested = isinstance(value, Mapping) and isinstance(mine, Mapping)
        both[key] = merge(mine, value) if nested else value  # type: ignore[arg-type]
    return both
