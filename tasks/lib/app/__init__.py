"""The app on this machine: in Docker, or on this machine's Python."""
