"""How much memory a process of a worker may have; tests/image/test_jobs.py has a real one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.testbed.commands import ROOT
from tests.testbed.measured import PYTHON, environment

SHOW = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
import children
folder, mib = Path(sys.argv[2]), 1 << 20
children.limit = lambda: int(sys.argv[3])
def chosen(processes, own=None):
    worker = SimpleNamespace(concurrency=processes, max_memory_per_child=own)
    children.set_share(worker)
    return worker.max_memory_per_child
shares = [children.share(512 * mib, 80 << 10, 2) >> 10, children.share(100 * mib, 85 << 10, 1)]
print(json.dumps([*shares, chosen(2), chosen(2, 7), chosen("auto")]))
"""
LIMIT = (
    "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import children; print("
)
LIMIT += "children.limit(Path(sys.argv[2])))"


def told(folder: Path, code: str, *words: str) -> str:
    """What code prints that has the folder docker/, and another one."""
    command = [PYTHON, "-c", code, ROOT / "docker", folder, *words]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("memory.max", "536870912", "536870912"),
        ("memory.max", "max", "0"),
        ("memory/memory.limit_in_bytes", "7", "7"),
        ("memory/memory.limit_in_bytes", "9223372036854771712", "0"),
        ("other", "7", "0"),
    ],
)
def test_the_limit_is_that_of_the_container(tmp_path, file, text, expected):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(f"{text}\n")
    assert told(tmp_path, LIMIT) == expected


def test_each_process_has_its_share_beside_the_worker_unless_the_app_says_how_much(tmp_path):
    found = told(tmp_path, SHOW, str(2 << 30))
    of_512_mib, too_little, chosen, own, unknown = json.loads(found.splitlines()[-1])
    # 90 % of 512 MiB are 460; the worker has 80, and half of the rest is 190.
    assert of_512_mib == 80 + 190
    assert too_little == 0
    assert 900 < chosen >> 10 < 1200
    assert (own, unknown) == (7, None)


def test_where_none_could_grow_nothing_is_set(tmp_path):
    assert json.loads(told(tmp_path, SHOW, str(30 << 20)).splitlines()[-1])[2:] == [0, 7, None]
