"""Put into a container by a test: the Celery app with a job that is due every second."""

from myapp.celery import app

app.conf.beat_schedule = {"often": {"task": "myapp.tasks.flush_clicks", "schedule": 1}}
