"""Kubernetes as an orchestrator: one namespace holds an environment."""
