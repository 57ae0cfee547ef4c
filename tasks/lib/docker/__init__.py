"""The one door to Docker: commands, builds, Compose."""
