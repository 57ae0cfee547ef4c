"""A rehearsal: the project's GitLab or GitHub pipeline, run for real in a lab."""
