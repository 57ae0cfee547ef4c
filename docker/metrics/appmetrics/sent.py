"""Marks each job with the time at which it was sent: Celery does not say how old one is."""

import time
from typing import Any

from celery.signals import before_task_publish

SENT = "sent_at"


@before_task_publish.connect
def mark(headers: dict[str, Any], **_: object) -> None:
    """Add the time to a job's headers; one that is sent again keeps that of the first time."""
    headers.setdefault(SENT, time.time())
