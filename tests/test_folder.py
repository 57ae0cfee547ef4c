"""A project whose manage.py is in a folder of the repository needs only `app.folder`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testbed.clones import into_folder
from tests.testbed.project import APP

NOWHERE = {"DOCKER_HOST": "unix:///nowhere.sock"}


@pytest.fixture
def moved(clone: Path) -> Path:
    """A clone whose project is in the folder backend."""
    return into_folder(clone, APP.packages, "backend")


@pytest.mark.slow
def test_its_types_are_found(moved, inv):
    done = inv("types", root=moved, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_tests_and_server_are_found(moved, inv, port):
    for file in (moved / "backend/myapp/tests").glob("test_*.py"):
        if file.name != "test_codes.py":
            file.unlink()
    done = inv("doctor", root=moved, INVOKE_DEV_PORT=str(port), **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    done = inv("test", "--app", root=moved, INVOKE_TEST_FLOOR="1", **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'classname="backend.myapp.tests.test_codes.' in (moved / "reports/app.xml").read_text()
    done = inv("dev", "--detach", "--port", str(port), root=moved, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    inv("down", "--volumes", "--yes", root=moved, **NOWHERE)
    assert not (moved / "backend/db.sqlite3").exists()
