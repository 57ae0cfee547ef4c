"""Backups of the data of an environment, and restores."""
