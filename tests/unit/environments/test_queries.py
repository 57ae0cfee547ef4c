"""What a person asks the database of an environment."""

from __future__ import annotations

import io
import sys

import pytest

from tasks.lib.environments import audit, queries
from tasks.lib.errors import ExitCode, TaskError

# A client that says how it was started and what it reads, and that refuses to write.
PSQL = """#!/bin/sh
echo "$PGOPTIONS"
echo "$@"
case $(tee /dev/stderr) in DROP*) echo "ERROR: read-only" >&2; exit 3 ;; esac
"""


@pytest.fixture
def database(world, tmp_path, monkeypatch):
    """A world whose database runs."""
    (tmp_path / "psql").write_text(PSQL)
    (tmp_path / "psql").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("POSTGRES_USER", "boss")
    monkeypatch.setenv("POSTGRES_DB", "shop")
    world.deploy(world.image())
    return world


def test_statements_reach_the_database_as_they_are_and_can_only_read(database, capfd):
    capfd.readouterr()
    queries.ask(database.target, "SELECT '$HOME' \"x\"")
    shown, said = capfd.readouterr()
    options, words, statement = shown.splitlines()
    assert "-c default_transaction_read_only=on" in options and "statement_timeout" in options
    assert words.endswith("--username=boss --dbname=shop") and "ON_ERROR_STOP=1" in words
    assert statement == "SELECT '$HOME' \"x\""
    assert said == "asks the database of prod, and changes nothing\n"


def test_what_the_database_refuses_is_shown_and_is_a_failure(database, capfd):
    capfd.readouterr()
    with pytest.raises(TaskError, match="psql failed: see above") as caught:
        queries.ask(database.target, "DROP TABLE a")
    assert caught.value.code == ExitCode.FAILED
    assert "ERROR: read-only" in capfd.readouterr().out
    newest = audit.read(database.target, 2).entries
    assert [each.what for each in newest] == ["asks the database"] * 2
    assert newest[0].state.startswith("failed: psql failed")
    assert "DROP" not in str(newest)


def test_a_database_that_is_elsewhere_or_does_not_run_is_said(database):
    orchestrator = database.orchestrator.inner
    feed, orchestrator.feed = orchestrator.feed, lambda *_: None
    with pytest.raises(TaskError, match="the database does not run - inv status --env=prod"):
        queries.ask(database.target, "SELECT 1")
    orchestrator.feed = feed
    del orchestrator.running_now["db"]
    with pytest.raises(TaskError, match=r"runs no service 'db' - .* DATABASE_URL") as caught:
        queries.ask(database.target, "SELECT 1")
    assert caught.value.code == ExitCode.REFUSED


def test_statements_come_from_the_option_or_from_stdin(monkeypatch):
    assert queries.typed("SELECT 1") == "SELECT 1"
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT 2"))
    assert queries.typed("") == "SELECT 2"
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    with pytest.raises(TaskError, match='add --command="SELECT') as caught:
        queries.typed("")
    assert caught.value.code == ExitCode.REFUSED
