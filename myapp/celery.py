"""The Celery app: `celery -A myapp` finds it."""

import os

from celery import Celery, Task

# Servers start with production's settings unless told otherwise; manage.py with development's.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "myapp.settings.prod")


class Job(Task):
    """A job. One that may run twice (acks_late) is retried if its process dies."""

    default_retry_delay = 10

    @property
    def retry_on_worker_lost(self) -> bool:
        """Says whether it is retried; Celery asks."""
        return bool(self.acks_late)


app = Celery("myapp", task_cls=Job)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
