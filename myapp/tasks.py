"""Celery's jobs."""

import logging

from celery import shared_task

from . import clicks

logger = logging.getLogger(__name__)


@shared_task
def flush_clicks() -> None:
    """Writes counted clicks to the database."""
    logger.info("Clicks of %d links written", clicks.flush())
