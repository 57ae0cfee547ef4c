"""Check the migrations of the project's own apps: those of packages are their authors' concern."""

from pathlib import Path

from django.apps import apps
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

# The folders that packages are installed in; one may be below the project's.
PACKAGES = {"site-packages", "dist-packages"}


def own() -> list[str]:
    """Return the labels of the apps with migrations whose source is in this folder."""
    paths = {config.label: Path(config.path).resolve() for config in apps.get_app_configs()}
    here, migrated = Path.cwd().resolve(), MigrationLoader(None).migrated_apps
    return [
        label
        for label, path in paths.items()
        if label in migrated and path.is_relative_to(here) and not PACKAGES & {*path.parts}
    ]


def missing() -> None:
    """Exit with status 1 if a model has changed without a migration."""
    if labels := own():
        call_command("makemigrations", *labels, check_changes=True, dry_run=True)


def unsafe(*off: str) -> None:
    """Exit with status 1 if a migration is unsafe; `off` names checks to leave out."""
    if labels := own():
        options = {"exclude_migration_tests": off} if off else {}
        quiet = ["ok", "ignore"]
        call_command("lintmigrations", no_cache=True, include_apps=labels, quiet=quiet, **options)
