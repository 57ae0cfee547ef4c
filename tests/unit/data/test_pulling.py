"""What a copy of an environment's database is made by, and when it is refused."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.lib.data import pulling
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.project.app_settings import Services


@pytest.fixture
def target(tmp_path) -> Any:
    """An environment that is not protected, with rules in files."""
    (tmp_path / "scrub.sql").write_text("TRUNCATE django_session")
    (tmp_path / "columns.yaml").write_text("auth_user: [id, username]\nempty: []\n")
    files = {"scrub": str(tmp_path / "scrub.sql"), "columns": str(tmp_path / "columns.yaml")}
    settings = SimpleNamespace(backup=SimpleNamespace(**files))
    return SimpleNamespace(
        name="prod", settings=settings, environment=SimpleNamespace(protected=False)
    )


def test_the_rules_are_the_sql_and_the_columns(target):
    sql, columns = pulling.rules(target)
    assert sql == "TRUNCATE django_session"
    assert json.loads(columns) == {"auth_user": ["id", "username"], "empty": []}


def test_without_columns_only_the_sql_is_a_rule(target):
    target.settings.backup.columns = ""
    assert pulling.rules(target) == ["TRUNCATE django_session"]
    target.settings.backup.scrub = ""
    assert pulling.rules(target) == []


def test_columns_alone_are_a_rule(target):
    target.settings.backup.scrub = ""
    sql, columns = pulling.rules(target)
    assert sql == "SELECT" and "auth_user" in columns


@pytest.mark.parametrize("lacking", [("scrub",), ("columns",), ("scrub", "columns")])
def test_a_protected_environment_needs_both(target, lacking):
    target.environment.protected = True
    pulling.rules(target)
    for key in lacking:
        setattr(target.settings.backup, key, "")
    with pytest.raises(TaskError, match="no copy as it is") as caught:
        pulling.rules(target)
    assert caught.value.code == ExitCode.REFUSED
    assert all(f"backup.{key}" in str(caught.value) for key in lacking)


@pytest.mark.parametrize("text", ["auth_user: id", "- auth_user", "auth_user: [", "auth_user: [1]"])
def test_columns_that_are_none_are_one_line(target, tmp_path, text):
    (tmp_path / "columns.yaml").write_text(text)
    with pytest.raises(TaskError, match=r"^backup\.columns: "):
        pulling.rules(target)


@pytest.mark.parametrize("key", ["scrub", "columns"])
def test_a_file_that_is_gone_is_refused(target, key):
    setattr(target.settings.backup, key, "/nowhere.txt")
    with pytest.raises(TaskError, match=f"backup.{key}: /nowhere.txt: No such file"):
        pulling.rules(target)


def of_version(target: Any, shown: str | None, here: int) -> None:
    """Let the tools of the environment say their version, and the app here have one."""
    target.orchestrator = SimpleNamespace(inside=lambda service, script: shown)
    target.settings.services = Services(postgres=here)


@pytest.mark.parametrize(
    ("there", "here"),
    [("17.12 (Debian 17.12-1)", 17), ("17.12", 18), ("18.6 (Debian 18.6-1)", 18)],
)
def test_a_copy_of_this_version_or_an_older_one_can_be_loaded(target, there, here):
    of_version(target, f"pg_dump (PostgreSQL) {there}\n", here)
    pulling.require_loadable(target)


def test_a_copy_of_a_newer_version_is_refused_before_it_is_made(target):
    of_version(target, "pg_dump (PostgreSQL) 18.6 (Debian 18.6-1)\n", 17)
    with pytest.raises(TaskError, match="prod has PostgreSQL 18, and the app here 17") as caught:
        pulling.require_loadable(target)
    assert caught.value.code == ExitCode.REFUSED
    assert "services.postgres: 18" in str(caught.value)
