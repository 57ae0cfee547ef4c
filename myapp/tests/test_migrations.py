"""Migrations: complete, and safe while the release before still runs."""

from django.core.management import call_command
from django.db import connection
from django.test import TestCase
from django.utils import timezone

from myapp.models import Link


class Migrations(TestCase):
    def test_say_all_that_the_models_say(self) -> None:
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)

    def test_let_the_release_before_go_on_inserting_links(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {Link._meta.db_table} (code, target, created_at) VALUES (%s, %s, %s)",
                ["old", "https://example.org/", timezone.now()],
            )
        self.assertEqual(0, Link.objects.get(code="old").clicks)
