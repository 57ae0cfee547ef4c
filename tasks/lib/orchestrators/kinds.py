"""The orchestrators, by the names that environments have for them in invoke.yaml."""

from __future__ import annotations

from .compose.orchestrator import ComposeOrchestrator
from .on_docker import DockerOrchestrator
from .swarm.orchestrator import SwarmOrchestrator

KINDS: dict[str, type[DockerOrchestrator]] = {
    "swarm": SwarmOrchestrator,
    "compose": ComposeOrchestrator,
}
# The Compose file of an orchestrator, on top of those of all servers.
OVERLAYS = {"compose": "compose/onehost.yml", "kubernetes": "compose/kubernetes.yml"}
