"""A link shortener: makes short links, follows them, counts the clicks."""

from .celery import app as celery_app

__all__ = ["celery_app"]
