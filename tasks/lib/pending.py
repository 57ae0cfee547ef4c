"""Run inside the image (python -c): the migrations that the database has not yet, as JSON.

With none, see first that the home page can be made: what fails here has failed for nobody else.
"""

import json
import logging
import os
import sys
import traceback
from urllib.parse import urlsplit

import django
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client

django.setup()


def see_home(url: str) -> None:
    """End with status 1, and say why, when the home page cannot be made."""
    # What is told below is not to be told twice.
    logging.disable()
    client = Client(headers={"host": urlsplit(url).netloc})
    try:
        status = client.get("/", secure=url.startswith("https:")).status_code
    except Exception as error:
        traceback.print_exc(limit=-8, chain=False)
        first = (str(error).splitlines() or [""])[0]
        sys.exit(f"{url}/ would fail: {type(error).__name__}: {first}")
    if status >= 500:
        sys.exit(f"{url}/ would answer {status}")


executor = MigrationExecutor(connection)
plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
names = [f"{each.app_label}.{each.name}" for each, _ in plan]
final = [
    f"{each.app_label}.{each.name}"
    for each, _ in plan
    if not all(operation.reversible for operation in each.operations)
]
if not names:
    see_home(os.environ["SITE_URL"])
print(json.dumps({"pending": names, "final": final}))
