"""The version of the pipeline: CHANGELOG.md says what each one brings, and tags bear its name."""

VERSION = "1.0.0"
