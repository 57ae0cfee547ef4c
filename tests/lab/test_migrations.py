"""Migrations in a deploy: backed up before, bounded in time, and never half a version's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.testbed.commands import until
from tests.testbed.sites import Site

from .test_broken import BOOM

pytestmark = [pytest.mark.engine, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
NEWEST = max(file.stem for file in (ROOT / "myapp/migrations").glob("0*.py"))
FILE, NAME = "=myapp/migrations/9000_trial.py", "myapp.9000_trial"
MIGRATION = f"""
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("myapp", "{NEWEST}")]
    operations = [migrations.RunSQL(%r)]
"""
TABLE = "myapp_link"
ROWS = f"SELECT code, target, clicks FROM {TABLE} WHERE code LIKE 'kept-%' ORDER BY code;"


@pytest.fixture
def trial(site: Site) -> Iterator[Site]:
    """The site, whose database knows of no trial afterwards."""
    yield site
    site.sql("DELETE FROM django_migrations WHERE name = '9000_trial';")


@contextmanager
def lock_held(site: Site) -> Iterator[None]:
    """Read the links in a transaction that does not end."""
    session = subprocess.Popen(
        site.psql(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert session.stdin
    session.stdin.write("BEGIN; SELECT count(*) FROM myapp_link;\n")
    session.stdin.flush()
    held = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction';"
    try:
        until(lambda: site.sql(held) != "0")
        yield
    finally:
        session.stdin.close()
        session.wait(30)


def untouched(site: Site, bad: str) -> None:
    """See that a deploy that failed before its roll is recorded, and that the next one works."""
    newest = site.history()[0]
    assert (newest["state"], newest["revision"]) == ("failed", bad)
    assert newest["migrations"] == newest["final"] == []
    assert "nothing to do" in site.must("deploy", f"--ref={site.good}").text


@pytest.mark.either("compose", "cluster")
@pytest.mark.fault("a migration fails")
def test_a_migration_that_fails_leaves_the_old_version_untouched(trial, fault):
    bad = trial.build("a migration that fails", {FILE: MIGRATION % "SELECT 1 / 0"})
    with trial.load() as load:
        done = trial.inv("deploy", f"--ref={bad}")
    fault(done, status=1, serves=trial.good)
    assert load.failures == []
    assert "migrate failed: " in done.verdict
    assert "division by zero" in done.verdict
    assert "rolling out" not in done.text
    untouched(trial, bad)


@pytest.mark.slow
@pytest.mark.either("cluster")
@pytest.mark.fault("a migration waits for a lock")
def test_a_migration_that_waits_for_a_table_gives_up_before_others_wait_long(trial, fault):
    sql = "ALTER TABLE myapp_link ADD trial integer"
    bad = trial.build("a migration that waits", {FILE: MIGRATION % sql})
    with lock_held(trial), trial.load() as load:
        done = trial.inv("deploy", f"--ref={bad}")
    fault(done, status=1, serves=trial.good)
    assert load.failures == []
    assert "canceling statement due to lock timeout" in done.verdict
    untouched(trial, bad)


@pytest.mark.slow
@pytest.mark.either("cluster")
@pytest.mark.fault("a migration takes longer than deploy.timeout")
def test_a_migration_that_does_not_end_is_ended_in_the_database_too(trial, fault):
    bad = trial.build("a migration without end", {FILE: MIGRATION % "SELECT pg_sleep(3600)"})
    with trial.load() as load:
        done = trial.inv("deploy", f"--ref={bad}", INVOKE_DEPLOY_TIMEOUT="30")
    fault(done, status=1, serves=trial.good)
    assert load.failures == []
    assert "migrate did not end within 30 s (deploy.timeout)" in done.verdict
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' "
    until(lambda: trial.sql(f"{running} AND pid <> pg_backend_pid();") == "0", 60)
    untouched(trial, bad)


@pytest.mark.fault("the rollback crosses a migration that cannot be reversed")
def test_the_backup_before_a_migration_restores_the_same_rows(trial, fault):
    trial.sql(
        f"INSERT INTO {TABLE} (code, target, created_at, clicks) SELECT 'kept-' || n, "
        "'https://example.com/' || n, now(), n FROM generate_series(1, 500) n "
        "ON CONFLICT (code) DO UPDATE SET clicks = excluded.clicks;"
    )
    before = trial.sql(ROWS)
    assert before.count("\n") == 499
    sql = "UPDATE myapp_link SET clicks = 0 WHERE code LIKE 'kept-%'"
    new = trial.build("a migration that forgets", {FILE: MIGRATION % sql})
    done = trial.must("deploy", f"--ref={new}")
    trial.serves(new)
    assert f"warning: {NAME} is irreversible" in done.text
    assert f"    Applying {NAME}... OK" in done.text
    assert trial.sql(ROWS) != before

    backup = trial.history()[0]["backup"]
    script = f"createdb -U app again && pg_restore -U app -d again /backups/{backup}.dump"
    database = f"docker exec -i $(docker ps -q -f name={trial.stack}_db.)"
    trial.on("node1", f"{database} sh -c '{script}'")
    restored = trial.on("node1", f"{database} psql -U app -d again -qAt", ROWS)
    trial.on("node1", f"{database} dropdb -U app again")
    assert restored == before

    refused = trial.inv("rollback")
    fault(refused, status=2, serves=new)
    assert f"{NAME} cannot be reversed since release" in refused.verdict
    assert '--force "reason"' in refused.verdict
    trial.must("rollback", "--force=its rows are restored by hand")
    trial.serves(trial.good)
    assert trial.history()[0]["why"] == "its rows are restored by hand"


@pytest.mark.slow
@pytest.mark.fault("a migration breaks the version before, and the new one is broken too")
def test_what_cannot_be_undone_ends_with_3_and_names_the_backup(trial, fault):
    model = (trial.root / "myapp/models.py").read_text()
    column = "models.PositiveBigIntegerField("
    assert model.count(column) == 1
    sql = "ALTER TABLE myapp_link RENAME clicks TO hits"
    files = {
        FILE: MIGRATION % sql,
        "=myapp/models.py": model.replace(column, f'{column}db_column="hits", '),
        "=docker/web": BOOM,
    }
    bad = trial.build("nothing works", files)
    done = trial.inv("deploy", f"--ref={bad}")
    trial.sql("ALTER TABLE myapp_link RENAME hits TO clicks;")
    fault(done, status=3, serves=trial.good, but="its pages fail")
    newest = trial.history()[0]
    assert newest["state"] == "failed"
    assert f"automatic rollback also failed ({trial.url}/ answers 500)" in done.verdict
    assert f"backup {newest['backup']}" in done.verdict
    trial.must("deploy", f"--ref={trial.good}")
    trial.serves(trial.good)
