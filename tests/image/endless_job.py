"""Put into a container by a test: a job that would be lost when a worker stops."""

from celery import shared_task


@shared_task(time_limit=900)
def endless() -> None:
    """Do nothing."""
