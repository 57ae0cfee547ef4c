"""The Celery app: `celery -A myapp worker`, `celery -A myapp beat`."""

import os

from celery import Celery

# Servers start with production's settings unless told otherwise; manage.py with development's.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "myapp.settings.prod")

app = Celery("myapp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
