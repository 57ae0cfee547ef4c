"""Imported by the worker: touches a file while the worker works; the healthcheck reads its age."""

from pathlib import Path

from celery.signals import heartbeat_sent, worker_ready

FILE = Path("/tmp/heartbeat")  # noqa: S108


@worker_ready.connect
@heartbeat_sent.connect
def beat(**_: object) -> None:
    """Touch the file: the worker is connected to its broker, and its main loop runs."""
    FILE.touch()
