"""The app's Python on this machine: the team's .venv as it is, else one of the pipeline's own."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

MANAGE = ("manage", "version", "--engine=host")


def team(root: Path, script: str) -> None:
    """Give a clone a .venv of its team, whose Python is a script."""
    (root / ".venv/bin").mkdir(parents=True)
    python = root / ".venv/bin/python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


def test_the_teams_environment_runs_the_app_and_stays_as_it_is(inv, clone):
    team(clone, f'echo "$*" >>"{clone}/asked"; exec {clone}/.inv/app/bin/python "$@"')
    done = inv(*MANAGE, root=clone)
    assert done.returncode == 0, done.stderr
    assert "manage.py version" in (clone / "asked").read_text()
    assert [path.name for path in (clone / ".venv").rglob("*")] == ["bin", "python"]


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (MANAGE, "django, pytest_cov"),
        (("test", "--engine=host", "--path=myapp"), "django, pytest_cov"),
        (("types",), "django, pytest_cov, mypy"),
    ],
)
def test_what_the_teams_environment_lacks_is_named(inv, clone, words, missing):
    team(clone, "exit 1")
    done = inv(*words, root=clone)
    assert done.returncode == 2
    assert (
        f"inv: {clone}/.venv has no {missing} - install it there, or move .venv away: "
        "then one is made from the locks"
    ) in done.stderr


def test_an_environment_of_an_older_lock_is_made_again(inv, clone):
    shutil.rmtree(clone / ".inv/app")
    package = next((clone / ".inv/venv/lib").resolve().glob("*/site-packages"))
    for name in ("app", "test"):
        lock = clone / f"requirements/{name}.txt"
        lock.write_text(lock.read_text() if name == "test" else "")
    (clone / "requirements/test.txt").write_text("")
    (clone / "manage.py").write_text("import sys; print(sys.prefix)")
    first = inv(*MANAGE, root=clone)
    assert first.stdout == f"{clone}/.inv/app\n", first.stderr
    left = next((clone / ".inv/app/lib").glob("*/site-packages")) / "left.py"
    left.write_text("")
    assert "installing" not in inv(*MANAGE, root=clone).stderr
    assert left.exists()
    (clone / "requirements/app.txt").write_text("# changed\n")
    assert "installing app, test" in inv(*MANAGE, root=clone).stderr
    assert not left.exists()
    assert package.exists()


def test_a_lost_python_is_noticed(inv, clone):
    shutil.rmtree(clone / ".inv/app")
    for name in ("app", "test"):
        (clone / f"requirements/{name}.txt").write_text("")
    (clone / "manage.py").write_text("print('ran')")
    assert inv(*MANAGE, root=clone).stdout == "ran\n"
    python = clone / ".inv/app/bin/python"
    python.unlink()
    python.symlink_to("/nowhere")
    assert inv(*MANAGE, root=clone).stdout == "ran\n"
    assert python.resolve() == Path(sys.executable).resolve()
