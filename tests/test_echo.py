"""Under --dry commands that change nothing still run; the others are only printed."""

from __future__ import annotations

import pytest

from tasks.lib.docker import dry_run


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("version", True),
        ("compose -f a.yml -p x ps --all", True),
        ("--host ssh://x compose --project-name up config", True),
        ("container inspect abc", True),
        ("compose -f ps up --detach", False),
        ("buildx build .", False),
        ("", False),
    ],
)
def test_only_commands_that_look_run_under_dry(command, expected):
    assert dry_run.only_looks(command.split()) == expected


def test_echo_prints_what_the_host_runs(inv):
    done = inv("--echo", "manage", "--engine=host", "version")
    assert "manage.py version" in done.stderr
    assert done.stdout.strip()


def test_dry_prints_and_runs_nothing(inv):
    done = inv("--dry", "manage", "--engine=host", "version")
    assert "manage.py version" in done.stderr
    assert done.stdout.strip() == ""
