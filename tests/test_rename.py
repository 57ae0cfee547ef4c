"""The project gets another legal name as README says, and its checks stay green."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.testbed.commands import ROOT, environment

NOWHERE = {"DOCKER_HOST": "unix:///nowhere.sock"}
SECTION = (ROOT / "README.md").read_text("utf-8").partition("## Make it yours\n")[2]
COMMANDS = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)[0].splitlines()


def renamed(clone: Path, name: str) -> Path:
    """Rename the project in a clone by the commands of README.md that come before ./inv."""
    for line in COMMANDS:
        if not line.startswith("./inv"):
            words = ["sh", "-euc", line.replace("shop", name)]
            subprocess.run(words, cwd=clone, env=environment(), check=True)
    return clone


# One letter more, which makes full lines too long; one letter; and one of the longest, with digits.
NAMES = [
    "market",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("a", "shop24", "ourcompany2go")),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_renamed_project_passes_the_checks(clone, inv, name):
    root = renamed(clone, name)
    done = inv("format", "lint", "variables", root=root, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"export APP_PACKAGES={name}\n" in done.stdout


@pytest.mark.slow
def test_a_renamed_project_passes_its_tests(clone, inv):
    root = renamed(clone, "market")
    done = inv("types", "test", "--app", root=root, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TOTAL coverage of market, branches counted: " in done.stdout
