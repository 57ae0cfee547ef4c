"""What the app answers on its server, for a site that this machine cannot reach."""

from __future__ import annotations

import json
import shlex

from .. import console
from ..errors import TaskError
from ..orchestrators.stack import Stack
from ..project import contract
from ..project.settings import ROOT
from . import healthcheck
from .connection import Target

# This version's own, also in older images.
PROGRAM = ROOT / "docker/ask_site.py"


def verify(target: Target, stack: Stack, revision: str) -> None:
    """Check that the app answers on its server, with the wanted version and no other.

    The request is the one that a user's browser makes, but goes straight to the proxy, or to the
    app as long as the proxy has no certificate. Raises TaskError if the answer is not as wanted.
    """
    times = healthcheck.times(target.environment.replicas)
    patience = min(healthcheck.REPLACED, target.settings.deploy.timeout)
    places = (_proxy(stack, target.url), f"{contract.APP}:{contract.PORT}")
    probes = target.settings.app.probes
    wanted = revision if probes.version else ""
    asked = (*places, target.url, probes.live or probes.page, probes.page, wanted)
    program = ("python", "-I", "-S", "-c", PROGRAM.read_text("utf-8"))
    script = shlex.join([*program, *asked, str(times), str(patience)])
    shown = target.orchestrator.inside(contract.APP, script)
    if not shown:
        raise TaskError("no replica of the app is reached that could ask the site")
    found = json.loads(shown)
    if found["wrong"]:
        raise TaskError(f"{target.url}, asked on its server: {found['wrong']}")
    what = f"{target.url} answers on its server ({found['by']}); not verified from outside"
    console.warn(f"{what} - inv status --env={target.name} asks it from here")


def _proxy(stack: Stack, url: str) -> str:
    """Return the service that has ports, with that of a scheme; HTTPS may end in front of it."""
    found = ((name, each["ports"]) for name, each in stack.services.items() if each.get("ports"))
    name, ports = next(found)
    secure = url.startswith("https:") and any(each.get("target") == 443 for each in ports)
    return f"{name}:{443 if secure else 80}"
