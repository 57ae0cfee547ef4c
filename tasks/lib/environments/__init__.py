"""Environments on servers: connection, lock, history, status, teardown."""
