"""`inv dev` and `inv test` without any engine: this machine's Python and SQLite."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.clones import commit
from tests.testbed.commands import environment, free_port, git

NOWHERE = {"DOCKER_HOST": "unix:///nowhere.sock"}


@pytest.fixture
def app(clone: Path, inv) -> Iterator[Path]:
    """A clone whose app is stopped afterwards."""
    yield clone
    inv("down", root=clone, **NOWHERE)
    assert _servers(clone) == []


def _servers(clone: Path) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cwd").readlink() == clone:
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return [line for line in found if "runserver" in line]


def get(port: int, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def test_dev_runs_the_app_says_on_what_and_down_stops_it(app, inv, port):
    up = inv("dev", "--detach", "--port", str(port), root=app, **NOWHERE)
    assert up.returncode == 0, up.stderr
    assert "engine: host (no Docker engine answers)" in up.stderr
    assert "Short links" in get(port)
    assert "GET / 200" in inv("logs", root=app, **NOWHERE).stdout
    down = inv("down", root=app, **NOWHERE)
    assert down.returncode == 0
    assert _servers(app) == []


def test_lines_of_the_log_are_chosen_here_as_in_an_environment(app, inv, port):
    def lines(*words: str) -> list[str]:
        return inv("logs", *words, root=app, **NOWHERE).stdout.splitlines()

    up = inv("dev", "--detach", "--port", str(port), root=app, **NOWHERE)
    assert up.returncode == 0, up.stderr
    url = f"http://127.0.0.1:{port}/"
    ids = [urllib.request.urlopen(url, timeout=5).headers["X-Request-ID"] for _ in range(2)]
    inv("down", root=app, **NOWHERE)
    assert [line for line in lines(f"--request={ids[0]}") if "GET / 200" in line]
    assert not [line for line in lines(f"--request={ids[0]}") if ids[1][:8] in line]
    assert len(lines("--grep=GET / [0-9]+")) > 1
    assert {"GET / 200" in line for line in lines("--grep=GET / [0-9]+")} == {True}
    assert lines("--grep=GET / [0-9]+", "--request=nowhere") == []
    for words, why in (
        (("--release=3",), "the app here is of no release - name an environment: --env=prod"),
        (("--service=worker",), "without Docker, the log is that of one process - leave out"),
        (("--since=10m",), "without Docker, the log is that of one process"),
        (("--grep=(",), "--grep: '(' is no regular expression"),
    ):
        refused = inv("logs", *words, root=app, **NOWHERE)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert f"inv: {why}" in refused.stderr


def test_a_debugger_can_attach(app, inv, port):
    debugport = free_port()
    env = {**NOWHERE, "INVOKE_DEV_DEBUGPORT": str(debugport)}
    up = inv("dev", "--detach", "--debugger", "--port", str(port), root=app, **env)
    assert up.returncode == 0, up.stderr
    assert "Short links" in get(port)
    socket.create_connection(("127.0.0.1", debugport), timeout=5).close()


def test_a_port_that_cannot_be_is_one_line(app, inv):
    done = inv("dev", "--port", "99999", root=app, **NOWHERE)
    assert done.returncode == 2
    assert "invalid port 99999 - choose one from 1 to 65535: --port N" in done.stderr
    assert "'abc' is not a number" in inv("dev", "--port", "abc", root=app, **NOWHERE).stderr


def test_a_port_in_use_is_one_line(app, inv):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        done = inv("dev", "--port", str(number), root=app, **NOWHERE)
    assert done.returncode == 2
    assert f"inv: port {number} on 127.0.0.1 is in use" in done.stderr


def test_behind_a_proxy_dev_asks_the_app_straight(app, inv, port):
    proxy = {"http_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    env = {**NOWHERE, **proxy, "INVOKE_DEV_TIMEOUT": "30"}
    up = inv("dev", "--detach", "--port", str(port), root=app, **env)
    assert up.returncode == 0, up.stderr
    assert "runs at" in up.stderr


def test_a_database_and_settings_of_the_shell_are_not_used(app, inv, tmp_path):
    other = tmp_path / "other.sqlite3"
    env = {"DATABASE_URL": f"sqlite:///{other}", "DJANGO_SETTINGS_MODULE": "theirs.settings"}
    done = inv("manage", "migrate --verbosity 0", root=app, **NOWHERE, **env)
    assert done.returncode == 0, done.stderr
    assert "warning: DJANGO_SETTINGS_MODULE, DATABASE_URL of this shell: not used" in done.stderr
    assert not other.exists()
    assert (app / "db.sqlite3").exists()
    (app / "myapp/tests/test_small.py").write_text("def test_x():\n    assert 1 == 1\n")
    path = ("--path", "myapp/tests/test_small.py")
    assert inv("test", *path, root=app, **NOWHERE, **env).returncode == 0


THEIRS = """\
from django.db import models

class Thing(models.Model):
    name = models.CharField(max_length=10)
"""


def test_migrations_looks_at_the_projects_own_apps_only(app, inv):
    package = app / "site-packages/theirs"
    (package / "migrations").mkdir(parents=True)
    for name in ("__init__.py", "migrations/__init__.py"):
        (package / name).write_text("")
    (package / "models.py").write_text(THEIRS)
    settings = app / "myapp/settings/base.py"
    settings.write_text(settings.read_text() + "INSTALLED_APPS.append('theirs')\n")
    env = {**NOWHERE, "PYTHONPATH": str(package.parent)}
    done = inv("migrations", root=app, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    with (app / "myapp/models.py").open("a") as models:
        models.write("\n\n" + THEIRS.partition("\n\n")[2])
    done = inv("migrations", root=app, **env)
    assert done.returncode == 1
    assert "Create model Thing" in done.stdout
    hint = 'see above; ./inv manage "makemigrations" writes missing ones'
    assert done.stderr.strip().splitlines()[-1] == f"inv: failed: missing migrations - {hint}"


def test_unsafe_migrations_of_others_do_not_count(app, inv):
    package = app / "site-packages/theirs"
    (package / "migrations").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    settings = app / "myapp/settings/base.py"
    settings.write_text(settings.read_text() + "INSTALLED_APPS.append('theirs')\n")
    unsafe = """\
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = {}
    operations = [migrations.RunSQL("SELECT 1"), migrations.RunPython(lambda apps, schema: None)]
"""
    (package / "migrations/__init__.py").write_text("")
    (package / "migrations/0001_unsafe.py").write_text(unsafe.replace("{}", "[]"))
    env = {**NOWHERE, "PYTHONPATH": str(package.parent)}
    assert inv("migrations", root=app, **env).returncode == 0
    own = unsafe.replace("{}", "[('myapp', '0001_link')]").replace("None)", "None, None)")
    drop = 'migrations.RemoveField("link", "clicks")'
    (app / "myapp/migrations/0099_unsafe.py").write_text(
        own.replace("operations = [", f"operations = [{drop}, ")
    )
    done = inv("migrations", root=app, **env)
    assert done.returncode == 1
    assert "unsafe migrations" in done.stderr


def test_a_result_of_an_older_run_is_not_left_for_this_one(app, inv):
    (app / "reports").mkdir()
    (app / "reports/app.xml").write_text("old")
    env = {**NOWHERE, "PYTEST_ADDOPTS": "--no-such-option"}
    assert inv("test", "--path", "myapp", root=app, **env).returncode == 1
    assert not (app / "reports/app.xml").exists()


def test_no_task_dirties_a_repository_that_ignores_nothing(app, inv, port):
    (app / ".gitignore").write_text("__pycache__/\ndb.sqlite3*\n")
    (app / "myapp/tests/test_small.py").write_text("def test_x():\n    assert 1 == 1\n")
    commit(app, "almost nothing is ignored")
    path = ("--path", "myapp/tests/test_small.py", "--cov-html")
    assert inv("test", *path, root=app, **NOWHERE).returncode == 0
    assert inv("dev", "--detach", "--port", str(port), root=app, **NOWHERE).returncode == 0
    assert inv("lint", root=app).returncode == 0
    assert git(app, "status", "--porcelain") == ""


def test_a_failing_migration_stops_dev(app, inv, port):
    (app / "myapp/migrations/0099_broken.py").write_text("raise RuntimeError('on purpose')")
    done = inv("dev", "--port", str(port), root=app, **NOWHERE)
    assert done.returncode == 1
    assert "inv: the migrations failed: see above" in done.stderr


def test_ctrl_c_stops_it_and_leaves_nothing(app, port):
    child = subprocess.Popen(
        ["./inv", "dev", "--port", str(port)], cwd=app, text=True, start_new_session=True,
        env=environment(**NOWHERE), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        assert child.poll() is None, child.communicate()[0]
        try:
            get(port, "/livez")
            break
        except OSError:
            time.sleep(0.1)
    os.killpg(child.pid, signal.SIGINT)
    said = child.communicate(timeout=30)[0]
    assert child.returncode == 0, said
    assert said.strip().endswith("stopped")
    assert _servers(app) == []


def test_a_failing_test_fails_the_task_and_coverage_is_the_last_line(app, inv):
    (app / "myapp/tests/test_broken.py").write_text("def test_x():\n    assert 1 == 2\n")
    path = ("--path", "myapp/tests/test_broken.py")
    done = inv("test", *path, root=app, **NOWHERE)
    assert done.returncode == 1
    assert "assert 1 == 2" in done.stdout
    assert done.stdout.strip().splitlines()[-1].startswith("TOTAL ")
    assert "inv: failed: the app's tests" in done.stderr


def test_reports_for_ci_are_written(app, inv):
    (app / "myapp/tests/test_small.py").write_text("def test_x():\n    assert 1 == 1\n")
    done = inv("test", "--path", "myapp/tests/test_small.py", "--cov-html", root=app, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name for path in (app / "reports").iterdir()}
    assert {"app.xml", "coverage.xml", "html"} <= names


def test_monitoring_needs_docker(app, inv, port):
    done = inv("dev", "--detach", "--with=monitoring", "--port", str(port), root=app, **NOWHERE)
    assert done.returncode == 2
    assert "inv: monitoring runs in Docker only - start Docker" in done.stderr
    wrong = inv("dev", "--detach", "--with=metrics", root=app, **NOWHERE)
    assert (wrong.returncode, wrong.stderr.splitlines()[-1]) == (
        2,
        "inv: --with=metrics: unknown - use --with=monitoring",
    )
