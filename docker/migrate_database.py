"""Migrate the database, then render the home page on it. Usage: migrate_database.py [SERVICE...]"""

import sys

import home_page
import wait_for
from django.core.management import execute_from_command_line


def main(services: list[str]) -> None:
    """Wait, migrate, render. Exits with status 1 and the reason when one fails."""
    wait_for.require(services)
    execute_from_command_line(["manage.py", "migrate", "--noinput"])
    home_page.require()


if __name__ == "__main__":
    main(sys.argv[1:])
