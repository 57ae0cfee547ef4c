"""Jobs: what a request publishes, and what a worker does with it."""

import logging
from queue import Empty
from unittest import mock

from celery.worker.request import Request
from django.db import OperationalError
from django.test import TestCase
from django_guid.log_filters import CorrelationId

from myapp import tasks
from myapp.celery import app
from myapp.models import Link

from .clicks import CleanClicks
from .support import published


class Lines(logging.Handler):
    """Keeps log records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.addFilter(CorrelationId("request_id"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a record."""
        self.records.append(record)


class AJob(CleanClicks, TestCase):
    def test_that_a_click_asks_for_writes_it_and_logs_the_id_of_its_request(self) -> None:
        link = Link.objects.create(code="known", target="https://example.org/")
        with published(), app.connection_for_read() as connection:
            answer = self.client.get("/known")
            self.client.get("/known")
            with connection.SimpleQueue(app.conf.task_default_queue) as queue:
                message = queue.get(timeout=5)
                message.ack()
                with self.assertRaises(Empty, msg="the second click must not ask again"):
                    queue.get_nowait()
                queue.queue.delete()
        self.assertEqual("myapp.tasks.flush_clicks", message.headers["task"])

        logger, lines = logging.getLogger("myapp.tasks"), Lines()
        logger.addHandler(lines)
        self.addCleanup(logger.removeHandler, lines)
        Request(message, app=app).execute()
        link.refresh_from_db()
        self.assertEqual(2, link.clicks)
        (line,) = lines.records
        self.assertEqual("Clicks of 1 links written", line.getMessage())
        self.assertEqual(answer["X-Request-ID"], vars(line)["request_id"])

    def test_that_writes_clicks_is_tried_again_while_the_database_is_away(self) -> None:
        away = OperationalError("away")
        with mock.patch("myapp.clicks.flush", side_effect=[away, away, 1]) as flush:
            self.assertTrue(tasks.flush_clicks.apply().successful())
        self.assertEqual(3, flush.call_count)

    def test_that_writes_clicks_fails_when_the_database_stays_away(self) -> None:
        with mock.patch("myapp.clicks.flush", side_effect=OperationalError("away")) as flush:
            self.assertTrue(tasks.flush_clicks.apply().failed())
        self.assertEqual(6, flush.call_count)

    def test_that_is_acknowledged_late_is_tried_again_when_its_process_dies(self) -> None:
        self.assertTrue(tasks.flush_clicks.acks_late and tasks.flush_clicks.retry_on_worker_lost)
        usual = app.Task()
        self.assertFalse(usual.acks_late or usual.retry_on_worker_lost)

    def test_that_beat_asks_for_exists(self) -> None:
        app.loader.import_default_modules()  # as a worker does when it starts
        for entry in app.conf.beat_schedule.values():
            self.assertIn(entry["task"], app.tasks)
