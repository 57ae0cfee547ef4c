"""A label of our own on secrets and configs: `docker stack rm` deletes what bears Docker's."""

from __future__ import annotations

import re
from functools import partial

from ...docker import api
from ...docker.retry import again
from ..stack import STACK as OWN
from .client import STACK, Swarm, own
from .client import of as dockers

# How the names of a secret's and a config's versions end.
VERSION = re.compile(r"_(v\d+|[0-9a-f]{12})$")


def ids(swarm: Swarm, kind: str, stack: str) -> list[str]:
    """Return a stack's secrets or configs, those that still bear Docker's label too."""
    return [*swarm.ids(kind, own(stack)), *swarm.ids(kind, dockers(stack))]


def keep(swarm: Swarm, stack: str) -> None:
    """Give our label, in place of Docker's, to secrets and configs that an earlier version made."""
    for kind in ("secret", "config"):
        again(partial(_keep, swarm, kind, stack))


def _keep(swarm: Swarm, kind: str, stack: str) -> None:
    for each in swarm.objects(kind, dockers(stack)):
        spec = each["Spec"]
        if VERSION.search(spec["Name"]):
            spec["Labels"] = {OWN: stack} | {k: v for k, v in spec["Labels"].items() if k != STACK}
            path = f"/{kind}s/{each['ID']}/update?version={each['Version']['Index']}"
            api.call(swarm.ctx, swarm.env, path, spec)
