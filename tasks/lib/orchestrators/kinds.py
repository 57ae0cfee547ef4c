"""The orchestrators, by the names that environments have for them in invoke.yaml."""

from __future__ import annotations

from ..project.places import KUBERNETES
from .compose.orchestrator import ComposeOrchestrator
from .kubernetes.connecting import reach as reach_cluster
from .on_docker import DockerOrchestrator
from .swarm.orchestrator import SwarmOrchestrator

# Those on servers with Docker; the other one is reached by reach_cluster.
KINDS: dict[str, type[DockerOrchestrator]] = {
    "swarm": SwarmOrchestrator,
    "compose": ComposeOrchestrator,
}
# The Compose file of an orchestrator, on top of those of all servers.
OVERLAYS = {"compose": "compose/onehost.yml", KUBERNETES: "compose/kubernetes.yml"}

__all__ = ["KINDS", "OVERLAYS", "reach_cluster"]
