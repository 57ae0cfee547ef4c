"""Imported by the worker: touches a file as long as it works, for the health check to look at."""

from pathlib import Path

from celery.signals import heartbeat_sent, worker_ready

FILE = Path("/tmp/heartbeat")  # noqa: S108


@worker_ready.connect
@heartbeat_sent.connect
def beat(**_: object) -> None:
    """Touch the file: the worker has reached its broker, and its main loop turns."""
    FILE.touch()
