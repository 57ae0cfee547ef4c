"""Liveness and readiness."""

import io
import time
from wsgiref.handlers import SimpleHandler
from wsgiref.util import setup_testing_defaults

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings

from myapp.wsgi import application

from .support import CleanCache, cache_that_is_down, database_that_is_down

FOREIGN = {"host": "10.0.0.7:8000"}


@override_settings(VERSION="4f2a9c1", SECURE_SSL_REDIRECT=True)
class Livez(SimpleTestCase):
    """A SimpleTestCase may not query the database."""

    def test_answers_any_host_without_database_or_cache(self) -> None:
        with override_settings(CACHES=cache_that_is_down()):
            answer = self.client.get("/livez", headers=FOREIGN)
        self.assertEqual({"status": "ok", "version": "4f2a9c1"}, answer.json())
        self.assertEqual("no-store", answer["Cache-Control"])

    def test_answers_a_look_at_the_headers(self) -> None:
        self.assertEqual(200, self.client.head("/livez").status_code)

    def test_is_no_place_to_post_to(self) -> None:
        self.assertEqual(301, self.client.post("/livez").status_code)


@override_settings(SECURE_SSL_REDIRECT=True)
class Readyz(CleanCache, TestCase):
    def test_says_that_every_part_works(self) -> None:
        answer = self.client.get("/readyz", headers=FOREIGN)
        checks = {"database": "ok", "cache": "ok", "migrations": "ok"}
        self.assertEqual(
            (200, "ok", checks), (answer.status_code, *map(answer.json().get, ("status", "checks")))
        )

    def test_is_not_there_from_outside(self) -> None:
        for path in ("/readyz", "/%72eadyz", "/readyz?x"):
            answer = self.client.get(path, secure=True, headers={"x-forwarded-for": "192.0.2.1"})
            self.assertEqual(404, answer.status_code)

    def test_names_a_cache_that_is_down(self) -> None:
        with override_settings(CACHES=cache_that_is_down()):
            answer = self.client.get("/readyz")
        checks = {"database": "ok", "cache": "ConnectionError", "migrations": "ok"}
        self.assertEqual((503, checks), (answer.status_code, answer.json()["checks"]))

    def test_names_migrations_that_are_pending(self) -> None:
        newest = MigrationExecutor(connection).loader.graph.leaf_nodes("auth")[0]
        MigrationRecorder(connection).record_unapplied(*newest)
        answer = self.client.get("/readyz")
        self.assertEqual(
            (503, "1 pending"), (answer.status_code, answer.json()["checks"]["migrations"])
        )

    def test_is_ready_for_a_database_that_is_ahead(self) -> None:
        MigrationRecorder(connection).record_applied("myapp", "0099_of_a_later_release")
        self.assertEqual(200, self.client.get("/readyz").status_code)


class ReadyzWithoutADatabase(CleanCache):
    databases = {"default"}

    def test_names_it_soon_and_gives_nothing_away(self) -> None:
        start = time.monotonic()
        with database_that_is_down():
            answer = self.client.get("/readyz")
        self.assertLess(time.monotonic() - start, 4)
        checks = {"database": "OperationalError", "cache": "ok", "migrations": "unknown"}
        self.assertEqual((503, checks), (answer.status_code, answer.json()["checks"]))
        self.assertNotContains(answer, "hidden", status_code=503)
        self.assertEqual(
            "Not ready (database OperationalError, migrations unknown)", answer.reason_phrase
        )


class TheWholeServer(CleanCache, TransactionTestCase):
    """Not in a transaction: a real request closes connections, the test client's does not."""

    def test_answers_a_probe_through_wsgi(self) -> None:
        environ, out = {"PATH_INFO": "/readyz"}, io.BytesIO()
        setup_testing_defaults(environ)
        SimpleHandler(io.BytesIO(), out, io.StringIO(), environ).run(application)
        self.assertIn(b"200 OK", out.getvalue())
