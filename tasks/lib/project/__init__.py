"""The project: its settings in invoke.yaml, its git repository, its locked requirements."""
