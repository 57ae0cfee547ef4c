"""Under --dry commands that change nothing still run; the others are only printed."""

from __future__ import annotations

import shlex

import pytest

from tasks.lib.docker import dry_run
from tests.testbed.commands import ROOT


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("version", True),
        ("compose -f a.yml -p x ps --all", True),
        ("--host ssh://x compose --project-name up config", True),
        ("container inspect abc", True),
        ("config ls --quiet", True),
        ("stack config --compose-file a.yml", True),
        ("compose -f ps up --detach", False),
        ("config create --label a=b name -", False),
        ("--host ssh://x config rm name", False),
        ("buildx build .", False),
        ("", False),
    ],
)
def test_only_commands_that_read_run_under_dry(command, expected):
    assert dry_run.only_reads(command.split()) == expected


def printed(stderr: str) -> list[str]:
    """The last two words of the command with manage.py that was printed."""
    line = next(line for line in stderr.splitlines() if "manage.py" in line)
    return shlex.split(line)[-2:]


def test_echo_prints_what_the_host_runs(inv):
    done = inv("--echo", "manage", "--engine=host", "version")
    assert printed(done.stderr) == [f"{ROOT}/manage.py", "version"]
    assert done.stdout.strip()


def test_dry_prints_and_runs_nothing(inv):
    done = inv("--dry", "manage", "--engine=host", "version")
    assert printed(done.stderr) == [f"{ROOT}/manage.py", "version"]
    assert done.stdout.strip() == ""
