"""`inv dev` and the tasks around it, on a real engine, in a clone of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.commands import docker, environment, page, until

pytestmark = pytest.mark.engine

SMALL = """from django.conf import settings
from django.test import TestCase


class Small(TestCase):
    def test_there_is_no_redis(self):
        self.assertEqual("", settings.REDIS_URL)
"""


@pytest.fixture
def app(clone: Path, inv) -> Iterator[Path]:
    """A clone whose containers, networks and volumes are gone afterwards."""
    yield clone
    inv("down", "--engine=docker", "--volumes", "--yes", root=clone)
    assert left(clone) == []


def left(clone: Path) -> list[str]:
    """What a clone has on the engine: containers, networks, volumes."""
    name = project(clone)
    found = []
    for kind in (["ps", "-a"], ["network", "ls"], ["volume", "ls"]):
        label = f"label=com.docker.compose.project={name}"
        found += docker(*kind, "-q", "--filter", label).split()
    return found


def project(clone: Path) -> str:
    from tasks.lib.docker.compose import project_name

    return project_name("myapp", clone, "dev")


def get(port: int, path: str = "/") -> str:
    return page(f"http://127.0.0.1:{port}{path}")


def start(root: Path, *words: str) -> subprocess.Popen[str]:
    """Start `inv` in a process group of its own, as a shell with a terminal does."""
    return subprocess.Popen(
        ["./inv", *words], cwd=root, env=environment(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def interrupt(child: subprocess.Popen[str]) -> str:
    """Ctrl-C: SIGINT to the whole group. Returns all that was printed."""
    os.killpg(child.pid, signal.SIGINT)
    return child.communicate(timeout=60)[0]


def test_dev_serves_the_page_and_everything_around_it_works(app, inv, port):
    up = inv("dev", "--detach", "--port", str(port), root=app)
    assert up.returncode == 0, up.stderr
    assert "engine: docker" in up.stderr
    assert f"runs at http://127.0.0.1:{port}" in up.stderr
    assert json.loads(get(port, "/readyz"))["status"] == "ok"
    assert "Short links" in get(port)

    again = inv("dev", "--detach", "--port", str(port), root=app)
    assert again.returncode == 0, again.stderr

    assert "no issues" in inv("manage", "check", root=app).stdout
    failed = inv("manage", "nonsense", root=app)
    assert failed.returncode == 1
    assert "manage.py nonsense exited with status 1" in failed.stderr
    assert "celery@" in inv("logs", root=app).stdout
    worker = inv("logs", "--service=worker", "--since=10m", "--grep=celery@", root=app).stdout
    assert worker and all("celery@" in line for line in worker.splitlines())
    assert "app-1 " not in inv("logs", "--service=worker", root=app).stdout
    assert inv("logs", "--since=1s", "--grep=celery@", root=app).stdout == ""
    unknown = inv("logs", "--service=web", root=app)
    assert unknown.returncode == 2
    assert "no service 'web' runs here - known: app, db, redis, worker" in unknown.stderr
    query = subprocess.run(
        ["./inv", "psql"], cwd=app, input="select 6*7 as answer", capture_output=True, text=True
    )
    assert "42" in query.stdout
    assert "42" in inv("psql", "--command=select 6*7 as answer", root=app).stdout

    docker("exec", f"{project(app)}-app-1", "touch", "/app/made-by-the-container")
    assert (app / "made-by-the-container").stat().st_uid == os.getuid()

    (app / "myapp/templates/404.html").write_text("changed while it runs")
    with (app / "myapp/urls.py").open("a") as urls:
        urls.write("\nfrom django.http import HttpResponse\n")
        urls.write("urlpatterns.insert(0, path('new', lambda request: HttpResponse('new')))\n")
    until(lambda: get(port, "/new") == "new")

    down = inv("down", root=app)
    assert down.returncode == 0
    assert docker("ps", "-q", "--filter", f"name={project(app)}") == ""


def test_a_port_in_use_is_one_line_with_another_port(app, inv):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        done = inv("dev", "--detach", "--port", str(number), root=app)
    assert done.returncode == 2
    assert f"port {number} on 127.0.0.1 is in use - choose another: ./inv dev --port" in done.stderr


def test_a_failing_migration_is_shown_and_named(app, inv, port):
    (app / "myapp/migrations/0099_broken.py").write_text("raise RuntimeError('broken on purpose')")
    done = inv("dev", "--detach", "--port", str(port), root=app)
    assert done.returncode == 1
    assert "broken on purpose" in done.stderr
    assert "inv: app exited with" in done.stderr.strip().splitlines()[-1]


def test_the_log_of_an_older_failure_is_not_shown_for_a_new_one(app, inv, port):
    broken = app / "myapp/migrations/0099_broken.py"
    broken.write_text("raise RuntimeError('broken on purpose')")
    first = inv("dev", "--detach", "--port", str(port), root=app)
    assert "broken on purpose" in first.stderr
    with (app / "Dockerfile").open("a") as file:
        file.write("\nFROM dev AS late\nRUN echo cannot build; false\n")
    (app / "compose/dev.yml").write_text(
        (app / "compose/dev.yml").read_text().replace("target: dev", "target: late")
    )
    done = inv("dev", "--detach", "--port", str(port), root=app)
    assert done.returncode == 1
    assert "cannot build" in done.stderr
    assert "broken on purpose" not in done.stderr
    assert "inv: no container was started: see above" in done.stderr


def test_a_broken_dockerfile_is_one_line_after_docker_s_own(app, inv, port):
    with (app / "Dockerfile").open("a") as file:
        file.write("\nRUN false\nNONSENSE\n")
    done = inv("dev", "--detach", "--port", str(port), root=app)
    assert done.returncode == 1
    assert "NONSENSE" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("inv: ")


def test_ctrl_c_in_dev_stops_everything(app, port):
    child = start(app, "dev", "--port", str(port))
    until(lambda: "ok" in get(port, "/livez") or child.poll() is not None, 120)
    said = interrupt(child)
    assert child.returncode == 0, said
    assert "stopped" in said
    assert docker("ps", "-q", "--filter", f"name={project(app)}") == ""


def test_ctrl_c_in_a_build_leaves_nothing_running(app, port):
    dockerfile = app / "Dockerfile"
    # No other process on this machine sleeps for as long.
    sleep = f"sleep 45.{port}"
    mark = f"RUN {sleep}"
    stage = "FROM test AS dev"
    dockerfile.write_text(dockerfile.read_text().replace(stage, f"{stage}\n{mark}"))
    child = start(app, "dev", "--port", str(port))
    until(lambda: _processes(sleep) != [] or child.poll() is not None, 60)
    assert child.poll() is None, child.communicate()[0]
    interrupt(child)
    assert child.returncode in (0, 130)
    until(lambda: _processes(sleep) == [], 20)
    assert docker("ps", "-q", "--filter", f"name={project(app)}") == ""


def _processes(words: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if words in line]


def test_dry_prints_docker_commands_and_starts_nothing(app, inv, port):
    done = inv("--dry", "dev", "--detach", "--port", str(port), root=app)
    assert "docker compose" in done.stderr
    assert "up --build" in done.stderr
    assert left(app) == []


def test_two_clones_run_side_by_side_under_names_of_their_own(tmp_path):
    from tasks.lib.docker.compose import project_name

    names = {project_name("myapp", tmp_path / each / "My App", "dev") for each in ("one", "two")}
    assert len(names) == 2
    assert all(name.startswith("myapp-my-app-") for name in names)


def test_the_suite_runs_on_postgresql_and_redis_and_leaves_nothing(app, inv):
    done = inv("test", "--engine=docker", "--path", "myapp/tests", root=app)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "engine: docker" in done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("TOTAL ")
    assert (app / "reports/app.xml").stat().st_uid == os.getuid()
    assert docker("ps", "-aq", "--filter", f"name={project(app)[:-4]}") == ""


def test_django_s_runner_without_redis_is_measured_too(app, inv):
    (app / "myapp/tests/test_small.py").write_text(SMALL)
    env = {"INVOKE_TEST_RUNNER": "django", "INVOKE_SERVICES_BROKER": "none"}
    path = ("--path", "myapp/tests/test_small.py")
    done = inv("test", "--engine=docker", *path, root=app, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 1 test" in done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("TOTAL coverage of myapp")


def test_a_failing_test_fails_the_task(app, inv):
    (app / "myapp/tests/test_broken.py").write_text("def test_x():\n    assert 1 == 2\n")
    done = inv("test", "--engine=docker", "--path", "myapp/tests/test_broken.py", root=app)
    assert done.returncode == 1
    assert "assert 1 == 2" in done.stdout
    assert "inv: failed: the app's tests - see above" in done.stderr
