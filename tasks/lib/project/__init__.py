"""What the project says of itself: invoke.yaml, git, the locked requirements."""
