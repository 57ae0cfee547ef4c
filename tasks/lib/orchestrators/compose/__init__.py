"""One Docker host without Swarm as an orchestrator."""
