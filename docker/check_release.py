"""Check that this release can serve, and print the pending migrations as the last line.

With none pending the home page is rendered, too; before a migration it may fail. All in one
process, since each start of the app takes its time. Usage: check_release.py [SERVICE...]
"""

import os
import sys

import home_page
import pending_migrations
import wait_for
from django.core.management import execute_from_command_line


def main(services: list[str]) -> None:
    """Run all checks. Exits with status 1 and the reason when one fails."""
    wait_for.require(services)
    level = ["--fail-level", os.environ["APP_LEVEL"]]
    execute_from_command_line(["manage.py", "check", "--deploy", *level])
    found = pending_migrations.find()
    if not found["pending"]:
        home_page.require()
    pending_migrations.show(found)


if __name__ == "__main__":
    main(sys.argv[1:])
