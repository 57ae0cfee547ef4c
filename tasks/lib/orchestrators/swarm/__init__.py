"""Docker Swarm as an orchestrator."""
