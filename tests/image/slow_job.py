"""Put into a container by a test: jobs that take their time, and print when they begin and end."""

import os
import signal
import time

from celery import shared_task


@shared_task
def early(name: str, seconds: float = 2) -> None:
    """Work. It is acknowledged when it begins: it runs at most once."""
    print(f"{name} begins", flush=True)
    time.sleep(seconds)
    print(f"{name} is done", flush=True)


@shared_task(acks_late=True)
def late(name: str, seconds: float = 2) -> None:
    """Work. It is acknowledged when it is done: it may run twice."""
    early(name, seconds)


@shared_task(acks_late=True, time_limit=600, soft_time_limit=500)
def long(name: str, seconds: float) -> None:
    """Work, for longer than a worker that stops waits."""
    early(name, seconds)


KEPT = []


@shared_task
def grow(name: str, megabytes: int) -> None:
    """Take memory, and keep it."""
    KEPT.append(b"x" * (megabytes << 20))
    print(f"{name} is one of {len(KEPT)}", flush=True)


@shared_task
def early_killed(name: str) -> None:
    """Die, as if the kernel had killed the process for its memory."""
    print(f"{name} begins", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(acks_late=True, default_retry_delay=1, max_retries=2)
def late_killed(name: str) -> None:
    """Die; it may run twice."""
    early_killed(name)
