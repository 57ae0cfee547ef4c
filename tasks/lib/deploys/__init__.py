"""A deploy: preflight, plan, predeploy, rollout, undo."""
