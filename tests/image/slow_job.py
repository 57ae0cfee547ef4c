"""Put into a container by a test: a job that takes its time."""

import time

from celery import shared_task


@shared_task(name="slow")
def slow() -> None:
    """Print a line, work for two seconds, print another."""
    print("the job begins", flush=True)
    time.sleep(2)
    print("the job is done", flush=True)
