"""Print the migrations that the database does not have yet, as one line of JSON.

"pending" has the names of all of them, "final" of those that cannot be reversed.
"""

import json

import django
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


def find() -> dict[str, list[str]]:
    """Return the pending migrations in their order, and which of them cannot be reversed."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    names = {f"{migration.app_label}.{migration.name}": migration for migration, _ in plan}
    final = [
        name
        for name, migration in names.items()
        if not all(operation.reversible for operation in migration.operations)
    ]
    return {"pending": list(names), "final": final}


def show(found: dict[str, list[str]]) -> None:
    """Print them. A deploy knows the line by its beginning."""
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    django.setup()
    show(find())
