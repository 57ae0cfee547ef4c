"""Settings: where a variable comes from, and what is said when it is missing or wrong."""

import sys
import tempfile
from pathlib import Path
from unittest import mock

from django.test import SimpleTestCase

from myapp.settings import env as variables

from .support import PRODUCTION, ROOT, load_settings


class WhereAVariableComesFrom(SimpleTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.secrets = Path(folder.name)

    def load(self, **changes: str) -> dict[str, object]:
        environ = PRODUCTION | {"SECRETS_DIR": str(self.secrets)} | changes
        return vars(load_settings("prod", **environ))

    def test_a_secret_comes_from_a_file_of_its_name(self) -> None:
        (self.secrets / "SECRET_KEY").write_text(f"{PRODUCTION['SECRET_KEY'][::-1]}\n")
        expected = PRODUCTION["SECRET_KEY"][::-1]
        self.assertEqual(expected, self.load(SECRET_KEY="")["SECRET_KEY"])

    def test_the_environment_wins_over_a_file(self) -> None:
        (self.secrets / "VERSION").write_text("from-a-file")
        self.assertEqual("4f2a9c1", self.load()["VERSION"])

    def test_a_key_that_begins_with_a_dollar_is_taken_as_it_is(self) -> None:
        key = f"${PRODUCTION['SECRET_KEY']}"
        self.assertEqual(key, self.load(SECRET_KEY=key)["SECRET_KEY"])

    def test_the_database_password_completes_an_address_without_one(self) -> None:
        (self.secrets / "DATABASE_PASSWORD").write_text("p@ss/w:rd\n")
        loaded = self.load(DATABASE_URL="postgres://app@db:5432/links")
        self.assertEqual("p@ss/w:rd", loaded["DATABASES"]["default"]["PASSWORD"])  # type: ignore[index]

    def test_redis_password_completes_an_address_with_a_user(self) -> None:
        (self.secrets / "REDIS_PASSWORD").write_text("p@ss/w:rd\n")
        with_user = self.load(REDIS_URL="redis://default@redis:6379/0")
        for name in ("REDIS_URL", "CELERY_BROKER_URL"):
            self.assertEqual("redis://default:p%40ss%2Fw%3Ard@redis:6379/0", with_user[name])
        for url in ("redis://default:own@redis:6379/0", "redis://redis:6379/0"):
            self.assertEqual(url, self.load(REDIS_URL=url)["REDIS_URL"])

    def test_a_password_in_the_address_stays(self) -> None:
        url = "postgres://app:in%23side@db/links?sslmode=require"
        database = self.load(DATABASE_URL=url, DATABASE_PASSWORD="x")["DATABASES"]["default"]  # type: ignore[index]
        self.assertEqual("in#side", database["PASSWORD"])
        self.assertEqual(
            ("require", 3), tuple(map(database["OPTIONS"].get, ("sslmode", "connect_timeout")))
        )

    def test_a_file_that_cannot_be_read_is_named(self) -> None:
        (self.secrets / "REDIS_URL").mkdir()
        with self.assertRaisesRegex(SystemExit, f"REDIS_URL cannot be read from {self.secrets}"):
            self.load()


class WhatIsSaidOfAWrongVariable(SimpleTestCase):
    WRONG = {
        "SECRET_KEY": ["short", "x" * 60, f"django-insecure-{'abcdef' * 9}"],
        "SITE_URL": [
            "links.example.com",
            "ftp://a.example",
            "https://a.example/path",
            "https://:80",
        ],
        "DATABASE_URL": [
            "oracle://u:hunter2@h/n",
            "postgres://",
            "postgres://u:hunter2@h",
            "hunter2",
        ],
        "REDIS_URL": ["http://redis", "redis://redis:port", "redis:///0"],
        "LOG_LEVEL": ["loud"],
        "JOB_SECONDS": ["soon", "0", "-1"],
    }

    def test_each_wrong_value_is_named_and_not_shown(self) -> None:
        for name, values in self.WRONG.items():
            for value in values:
                with self.subTest(name=name, value=value), self.assertRaises(SystemExit) as end:
                    load_settings("prod", **PRODUCTION | {name: value})
                right = getattr(variables, name).right
                wrong = f"{name} in the environment is wrong, it must be {right}"
                self.assertEqual(f"myapp cannot start: {wrong}.", str(end.exception))

    def test_all_problems_stand_in_one_line(self) -> None:
        with self.assertRaises(SystemExit) as end:
            load_settings("prod", REDIS_URL="http://redis")
        line = str(end.exception)
        self.assertNotIn("\n", line)
        for name in ("SECRET_KEY", "SITE_URL", "DATABASE_URL", "REDIS_URL"):
            self.assertIn(name, line)

    def test_collecting_static_files_needs_no_secret(self) -> None:
        with mock.patch.object(sys, "argv", ["manage.py", "collectstatic", "--noinput"]):
            self.assertEqual(ROOT / "static", load_settings("prod").STATIC_ROOT)


class WhatEachPlaceSets(SimpleTestCase):
    def test_development_needs_no_variable(self) -> None:
        dev = load_settings("dev")
        self.assertEqual(str(ROOT / "db.sqlite3"), dev.DATABASES["default"]["NAME"])
        self.assertTrue(dev.CELERY_TASK_ALWAYS_EAGER)
        self.assertIn("LocMemCache", dev.CACHES["default"]["BACKEND"])

    def test_tests_need_no_variable(self) -> None:
        self.assertEqual(":memory:", load_settings("test").DATABASES["default"]["NAME"])

    def test_with_redis_the_cache_and_the_jobs_use_it(self) -> None:
        prod = load_settings("prod", **PRODUCTION, REDIS_URL="redis://redis:6379/0")
        self.assertEqual("redis://redis:6379/0", prod.CACHES["default"]["LOCATION"])
        self.assertEqual("redis://redis:6379/0", prod.CELERY_BROKER_URL)
        self.assertFalse(prod.CELERY_TASK_ALWAYS_EAGER)

    def test_production_over_https_is_strict(self) -> None:
        prod = load_settings("prod", **PRODUCTION)
        self.assertTrue(prod.SECURE_SSL_REDIRECT and prod.SESSION_COOKIE_SECURE)
        self.assertFalse(hasattr(prod, "SILENCED_SYSTEM_CHECKS"))
        self.assertEqual(["links.example.com"], prod.ALLOWED_HOSTS)

    def test_production_over_http_works_too(self) -> None:
        prod = load_settings("prod", **PRODUCTION | {"SITE_URL": "http://Lab.Local:8080/"})
        self.assertFalse(hasattr(prod, "SECURE_SSL_REDIRECT"))
        self.assertEqual(["lab.local"], prod.ALLOWED_HOSTS)
        self.assertEqual(["http://lab.local:8080"], prod.CSRF_TRUSTED_ORIGINS)

    def test_the_log_level_can_be_written_in_any_case(self) -> None:
        self.assertEqual("DEBUG", load_settings("prod", **PRODUCTION, LOG_LEVEL="debug").LOG_LEVEL)

    def test_the_time_of_a_job_sets_both_limits(self) -> None:
        prod = load_settings("prod", **PRODUCTION, JOB_SECONDS="40")
        limits = prod.CELERY_TASK_SOFT_TIME_LIMIT, prod.CELERY_TASK_TIME_LIMIT
        self.assertEqual((40, 50), limits)

    def test_more_hosts_can_be_allowed(self) -> None:
        prod = load_settings("prod", **PRODUCTION, ALLOWED_HOSTS="a.example, b.example,")
        self.assertEqual(["a.example", "b.example"], prod.ALLOWED_HOSTS)
