"""A rehearsal: the project's GitLab pipeline, run for real in a lab."""
