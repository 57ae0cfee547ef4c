"""Files of the source, and which of them are shell scripts."""

from __future__ import annotations

import re

import pytest
from invoke import Config, Context

from tasks.lib.checks import linters
from tasks.lib.errors import TaskError
from tasks.lib.project import git
from tasks.lib.project.settings import Lint
from tests.testbed.commands import git as git_output


def test_files_are_the_tracked_and_the_new_ones(clone):
    (clone / "new.py").write_text("")
    (clone / "db.sqlite3").write_text("ignored")
    (clone / "manage.py").unlink()
    names = {path.name for path in git.files(clone)}
    assert {"new.py", "invoke.yaml"} <= names
    assert not {"db.sqlite3", "manage.py"} & names


def test_outside_a_repository_it_says_so_in_one_line(tmp_path):
    with pytest.raises(TaskError, match=r"not a git repository.* - run this in a git clone"):
        git.files(tmp_path)


def test_files_and_tools_can_be_left_out():
    lint = Lint(exclude=["docker/*", "*.html"], without=["yamllint"])
    ctx = Context(Config(overrides={"run": {"dry": True}}))
    found = linters.checks(ctx, lint)
    assert "docker/entrypoint" in linters.checks(ctx, Lint())["shellcheck"]
    assert "docker/entrypoint" not in found["shellcheck"]
    assert not {"djlint", "djlint format", "yamllint"} & set(found)
    assert "--extend-exclude=docker/*" in found["ruff check"]
    assert "djlint format" not in linters.fixes(ctx, lint)


@pytest.mark.parametrize(
    ("name", "first", "expected"),
    [
        ("x.sh", "", True),
        ("inv", "#!/bin/sh\n", True),
        ("run", "#!/usr/bin/env bash\n", True),
        ("tool", "#!/usr/bin/env python3\n", False),
        ("x.py", "#!/bin/sh\n", False),
        ("empty", "", False),
    ],
)
def test_a_shell_script_is_known_by_its_name_or_first_line(tmp_path, name, first, expected):
    path = tmp_path / name
    path.write_text(first)
    assert linters.is_shell(path) == expected


@pytest.fixture
def without(clone):
    """A clone on a platform that has no package of a linter, though of all others."""

    def lacks(tool: str):
        bin = clone / ".inv/venv/bin"
        real = bin.resolve()
        bin.unlink()
        bin.mkdir()
        for path in real.iterdir():
            if path.name != tool:
                (bin / path.name).symlink_to(path)
        lock = clone / "requirements/binaries.txt"
        lock.write_text(re.sub(r"sha256:\S+", f"sha256:{'0' * 64}", lock.read_text()))
        return clone

    return lacks


@pytest.mark.parametrize("tool", ["hadolint", "shellcheck"])
def test_a_linter_without_a_package_for_this_platform_is_reported(inv, without, tool):
    root = without(tool)
    done = inv("lint", root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"warning: not run: {tool}: no package of it for this platform" in done.stderr
    assert f"ok      {tool}" not in done.stderr
    assert "ok      yamllint" in done.stderr
    failed = inv("lint", root=root, CI="true")
    assert failed.returncode == 1
    assert f"inv: failed: {tool}" in failed.stderr


def test_the_alerts_are_tested_where_they_are_developed_and_never_silently_left_out(
    inv, clone, tmp_path, monkeypatch
):
    (clone / "compose/monitoring/rules.test.yml").write_text("rule_files: [none.yml]")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    tool = tmp_path / "promtool"
    tool.write_text('#!/bin/sh\ngrep -q rules.yml "$3"\n')
    tool.chmod(0o755)
    assert "failed  promtool" in inv("lint", root=clone).stderr
    git_output(clone, "checkout", "--quiet", "compose")
    assert "ok      promtool" in inv("lint", root=clone).stderr
    (clone / "copier.yml").unlink()
    assert "promtool" not in inv("lint", root=clone).stderr
