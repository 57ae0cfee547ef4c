"""The set-up of a lab's servers for each of its environments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec
from invoke import Context
from invoke.config import merge_dicts

from .. import console
from ..environments import bootstrap, connection, secret_values
from ..project.settings import MANY, Settings


def set_up(
    ctx: Context, settings: Settings, overlay: dict[str, Any], variables: Mapping[str, str]
) -> None:
    """Set up each environment's servers and secrets, with the lab's settings and variables."""
    merged = msgspec.convert(merge_dicts(msgspec.to_builtins(settings), overlay), Settings)
    static = [name for name in overlay["environments"] if not name.endswith(MANY)]
    for name in static:
        with connection.reach(ctx, name, merged, {**os.environ, **variables}) as target:
            list(bootstrap.set_up(target))
            for secret in {*merged.deploy.secrets} - {*target.orchestrator.secrets()}:
                # A lab that is older than a secret has no value for it.
                value = variables.get(secret) or secret_values.random()
                target.orchestrator.set_secret(secret, value)
    console.say(f"ready to deploy to: {', '.join(static)}")
