"""Celery's jobs."""

import logging

from celery import shared_task
from django.db import OperationalError

from . import clicks

logger = logging.getLogger(__name__)


# It may run twice, so it is acknowledged late: if its worker dies, it runs again. While the
# database is away it is retried five times, after up to 1, 2, 4, 8 and 16 seconds.
@shared_task(
    acks_late=True,
    autoretry_for=(OperationalError,),
    max_retries=5,
    retry_backoff=True,
    retry_jitter=True,
)
def flush_clicks() -> None:
    """Writes counted clicks to the database."""
    logger.info("Clicks of %d links written", clicks.flush())
