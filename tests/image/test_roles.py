"""The roles of the entrypoint that a deploy runs as jobs: wait, check, pending, migrate."""

from __future__ import annotations

import json

import pytest

from tasks.lib.project.contract import ANSWER, ENTRYPOINT, WAITS
from tests.image.engine import until

pytestmark = pytest.mark.engine
# A port of the container's own at which nothing listens.
NOWHERE = {"NOWHERE_URL": "http://localhost:9"}


def ended(container):
    """Its exit status, once it has ended."""
    until(lambda: not container.state()["Running"])
    return container.state()["ExitCode"]


@pytest.fixture
def box(start):
    """A container with a database of its own, in which roles are run."""
    return start("sleep", "300")


def sql(box, text):
    """Run a statement on the database."""
    code = f"import sqlite3; sqlite3.connect('/tmp/db.sqlite3').execute({text!r})"
    box.execute("python", "-c", code)


def fails(box, role):
    """The last line of a role's standard output, and its status."""
    line = f"{ENTRYPOINT} {role} 2>/dev/null; echo status $?"
    return box.execute("sh", "-c", line).splitlines()[-2:]


def test_wait_prints_what_it_waits_for_and_goes_on_when_it_is_there(start, redis):
    network, url = f"--network={redis}", "http://later:8080/"
    words = ("wait", "redis", "later", "--", "echo", "it goes on")
    job = start(*words, options=[network], REDIS_URL="redis://redis:6379/0", LATER_URL=url)
    job.prints(f"{WAITS}later: ")
    assert job.state()["Running"]
    server = ("python", "-m", "http.server", "8080")
    start(*server, options=[network, "--network-alias=later"])
    assert ended(job) == 0
    first, second = job.logs().splitlines()
    assert first.startswith(f"{WAITS}later: ")
    assert second == "it goes on"


def test_wait_fails_after_its_time_with_the_reason(start):
    job = start("wait", "localhost", "--", "echo", "it goes on", WAIT_TIMEOUT="1", **NOWHERE)
    assert ended(job) == 1
    last = job.logs().splitlines()[-1]
    assert last == f"localhost cannot be reached from {job.id[:12]}: Connection refused"


def test_wait_at_most_so_long_runs_the_command_anyway(start):
    words = ("wait", "--at-most", "1", "localhost", "--", "sh", "-c", "echo done; exit 7")
    job = start(*words, **NOWHERE)
    assert ended(job) == 7
    printed = job.logs().splitlines()
    reason = f"localhost cannot be reached from {job.id[:12]}: Connection refused"
    assert f"{reason}; running the command anyway" in printed
    assert "done" in printed


def test_wait_takes_no_notice_of_other_variables(start):
    other = {"BROKEN_URL": "http://[", "PORTLESS_URL": "http://localhost/", "LOCALHOST": "x"}
    job = start("wait", "localhost", "unknown", "--", "echo", "done", **other)
    assert ended(job) == 0
    assert job.logs() == "done"


def test_wait_without_a_command_is_refused(start):
    job = start("wait", "redis")
    assert ended(job) == 2
    assert "no command after --" in job.logs()


def test_what_was_waited_for_gets_the_signals(start):
    job = start("wait", "--", "sh", "-c", "trap 'echo stopped; exit 0' TERM; sleep 60 & wait")
    until(lambda: "(sleep)" in job.execute("sh", "-c", "cat /proc/[0-9]*/stat"))
    assert job.stop() < 5
    assert job.logs() == "stopped"


def test_a_server_that_has_waited_has_its_health_check(start):
    web = start("wait", "--", ENTRYPOINT, "web")
    web.serves()
    with pytest.raises(RuntimeError, match=r"/readyz: HTTP/1.\d 503"):
        web.execute("/app/docker/healthcheck")


def test_check_ends_with_the_pending_migrations(start):
    job = start("check")
    assert ended(job) == 0
    first, last = job.logs().splitlines()
    assert "System check identified no issues" in first
    assert last.startswith(ANSWER)
    found = json.loads(last)
    assert "myapp.0001_link" in found["pending"]
    assert found["final"] == []


def test_check_waits_for_services(start):
    job = start("check", "localhost", WAIT_TIMEOUT="1", **NOWHERE)
    assert ended(job) == 1
    assert "localhost cannot be reached from" in job.logs().splitlines()[-1]


def test_check_fails_on_a_warning_of_the_system_checks(start, tmp_path):
    settings = tmp_path / "warned.py"
    settings.write_text("from myapp.settings.prod import *\n\nSILENCED_SYSTEM_CHECKS = []\n")
    options = [f"--volume={settings}:/app/warned.py:ro"]
    job = start("check", options=options, DJANGO_SETTINGS_MODULE="warned")
    assert ended(job) == 1
    assert "security.W008" in job.logs()
    assert ANSWER not in job.logs()


def test_check_renders_the_home_page_when_nothing_is_pending(box):
    box.execute(ENTRYPOINT, "migrate")
    printed = box.execute(ENTRYPOINT, "check")
    assert printed.splitlines()[-1] == '{"pending": [], "final": []}'


def test_check_fails_with_the_reason_in_the_last_line_of_one_stream(box):
    box.execute(ENTRYPOINT, "migrate")
    sql(box, "DROP TABLE myapp_link")
    reason, status = fails(box, "check")
    why = "OperationalError: no such table: myapp_link"
    assert reason == f"http://links.example.com/ would fail: {why}"
    assert status == "status 1"


def test_pending_prints_the_migrations_and_nothing_else(box):
    (line,) = box.execute(ENTRYPOINT, "pending").splitlines()
    assert "myapp.0001_link" in json.loads(line)["pending"]
    box.execute(ENTRYPOINT, "manage", "migrate", "--verbosity=0")
    sql(box, "DROP TABLE myapp_link")
    assert box.execute(ENTRYPOINT, "pending") == '{"pending": [], "final": []}'


def test_pending_names_what_cannot_be_reversed(start, tmp_path):
    migration = tmp_path / "9000_trial.py"
    migration.write_text(
        "from django.db import migrations\n\n\n"
        "class Migration(migrations.Migration):\n"
        '    dependencies = [("myapp", "0001_link")]\n'
        '    operations = [migrations.RunSQL("SELECT 1")]\n'
    )
    volume = f"--volume={migration}:/app/myapp/migrations/9000_trial.py:ro"
    job = start("pending", options=[volume])
    assert ended(job) == 0
    found = json.loads(job.logs())
    assert "myapp.9000_trial" in found["pending"]
    assert found["final"] == ["myapp.9000_trial"]


def test_migrate_migrates(start):
    job = start("migrate")
    assert ended(job) == 0
    assert "Applying myapp.0001_link... OK" in job.logs()


def test_migrate_fails_with_the_reason_in_the_last_line_of_one_stream(box):
    sql(box, "CREATE TABLE myapp_link (id)")
    reason, status = fails(box, "migrate")
    assert reason == 'django.db.utils.OperationalError: table "myapp_link" already exists'
    assert status == "status 1"


def test_migrate_fails_when_the_home_page_does_afterwards(box):
    box.execute(ENTRYPOINT, "migrate")
    sql(box, "DROP TABLE myapp_link")
    with pytest.raises(RuntimeError, match="/ would fail: OperationalError"):
        box.execute(ENTRYPOINT, "migrate")


def test_migrate_stops_at_once(start):
    job = start("migrate", "localhost", **NOWHERE)
    job.prints(f"{WAITS}localhost: ")
    assert job.stop() < 5
    assert job.state()["ExitCode"] == 143
