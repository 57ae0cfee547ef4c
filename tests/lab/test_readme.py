"""README's four commands, typed as they stand there, lead to a running deploy."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.testbed.commands import environment, git

pytestmark = pytest.mark.engine


CLUSTER = [pytest.mark.slow, pytest.mark.cluster]


@pytest.mark.parametrize(
    "options",
    [
        "",
        pytest.param(" --orchestrator compose", marks=pytest.mark.slow),
        pytest.param(" --orchestrator kubernetes", marks=CLUSTER),
    ],
)
def test_four_commands_lead_to_a_running_deploy(clone: Path, inv, options):
    text = (clone / "README.md").read_text()
    block = re.search(r"## A deploy in four commands.*?```sh\n(.*?)```", text, re.S)
    assert block
    up = '"$(./inv lab.up'
    assert f"{up}{options})" in text
    commands = block[1].replace(up, f"{up}{options}").strip().splitlines()
    assert len(commands) == 4
    try:
        done = subprocess.run(
            ["bash", "-ec", "\n".join(commands)],
            cwd=clone, env=environment(), capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        url = re.search(r"^release 1 runs: (http://\S+)$", done.stderr, re.M)
        assert url, done.stderr
        with urllib.request.urlopen(f"{url[1]}/livez", timeout=10) as answer:
            runs = json.load(answer)["version"]
        assert runs == git(clone, "rev-parse", "HEAD")
    finally:
        inv("lab.down", root=clone)
