"""Run inside the image (python -c): the migrations that the database has not yet, as JSON."""

import json

import django
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

django.setup()
executor = MigrationExecutor(connection)
plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
names = [f"{each.app_label}.{each.name}" for each, _ in plan]
final = [
    f"{each.app_label}.{each.name}"
    for each, _ in plan
    if not all(operation.reversible for operation in each.operations)
]
print(json.dumps({"pending": names, "final": final}))
