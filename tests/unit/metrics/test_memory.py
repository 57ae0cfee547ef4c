"""What a container says of its memory, with control groups of both versions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.testbed.measured import PYTHON, environment

SHOW = """
import sys
from pathlib import Path
from appmetrics import serve
print({s.name: s.value for m in serve.memory(Path(sys.argv[1])) for s in m.samples})
"""
SECOND = {"memory.current": "5", "memory.max": "7", "memory.events": "oom 3\noom_kill 2\n"}
FIRST = {
    "memory/memory.usage_in_bytes": "5",
    "memory/memory.limit_in_bytes": "7",
    "memory/memory.oom_control": "under_oom 0\noom_kill 2\n",
}
ALL = {"app_memory_bytes": 5, "app_memory_limit_bytes": 7, "app_memory_kills_total": 2}


def shown(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    words = [PYTHON, "-c", SHOW, folder]
    done = subprocess.run(words, env=environment(folder), capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize("files", [FIRST, SECOND], ids=["first", "second"])
def test_memory_its_limit_and_kills_are_told(tmp_path, files):
    assert shown(tmp_path, files) == str(ALL)


@pytest.mark.parametrize(
    "unlimited",
    [
        {**SECOND, "memory.max": "max"},
        {**FIRST, "memory/memory.limit_in_bytes": "9223372036854771712"},
    ],
    ids=["second", "first"],
)
def test_without_a_limit_none_is_told(tmp_path, unlimited):
    left = {key: value for key, value in ALL.items() if "limit" not in key}
    assert shown(tmp_path, unlimited) == str(left)


def test_a_machine_that_says_nothing_of_it_is_no_failure(tmp_path):
    assert shown(tmp_path, {}) == "{}"
