"""The Django project, and its first app."""

from .celery import app as celery_app

__all__ = ["celery_app"]
