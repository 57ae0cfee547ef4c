"""The orchestrators, by the names that environments have for them in invoke.yaml."""

from __future__ import annotations

from .swarm.orchestrator import SwarmOrchestrator

KINDS = {"swarm": SwarmOrchestrator}
