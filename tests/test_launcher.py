"""`./inv` makes and repairs its environment, or says in one line why it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def bare(clone: Path, tmp_path: Path):
    """The clone without an environment, and a PATH with only the basic commands and no Python."""
    shutil.rmtree(clone / ".venv")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "cmp", "date", "dirname", "env", "rm", "sed", "tail"):
        (folder / name).symlink_to(shutil.which(name) or "")

    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [folder / "sh", "./inv", *(arguments or ["--version"])],
            cwd=clone, env={"PATH": str(folder), "HOME": str(tmp_path), **env},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def script(name: str, text: str) -> None:
        (folder / name).write_text(f"#!{folder}/sh\n{text}\n")
        (folder / name).chmod(0o755)

    run.script, run.root = script, clone  # type: ignore[attr-defined]
    return run


def test_without_any_python_it_says_what_to_install(bare):
    done = bare()
    assert done.returncode == 1
    assert "inv: no python3 found - install Python 3.11, 3.12 or 3.13" in done.stderr


def test_a_python_that_is_too_old_is_named(bare):
    bare.script("python3", '[ "$1" = -V ] && echo Python 3.9.2 || exit 1')
    done = bare()
    assert done.returncode == 1
    assert "found only python3 (Python 3.9.2)" in done.stderr


def test_a_python_without_venv_is_told_and_leaves_nothing(bare):
    bare.script("python3", '[ "$1" = -m ] && { echo "No module named venv"; exit 1; }; exit 0')
    done = bare()
    assert done.returncode == 1
    assert "No module named venv" in done.stderr
    assert "has no working venv module - install it" in done.stderr
    assert not (bare.root / ".venv").exists()


def test_without_a_network_it_says_so_and_leaves_nothing(bare):
    pip = "mkdir -p .venv/bin; printf '#!/bin/sh\\necho no route to host; exit 1' >.venv/bin/python"
    made = f'[ "$1" = -m ] || exit 0; {pip}; chmod +x .venv/bin/python'
    bare.script("python3", f"PATH={os.environ['PATH']}; {made}")
    done = bare()
    assert done.returncode == 1
    assert "no route to host" in done.stderr
    assert "could not install the requirements - check the network" in done.stderr
    assert not (bare.root / ".venv").exists()


def test_a_half_made_environment_is_made_anew(bare):
    (bare.root / ".venv/bin").mkdir(parents=True)
    (bare.root / ".venv/bin/inv").write_text("")
    done = bare()
    assert "no python3 found" in done.stderr


def test_an_environment_that_is_up_to_date_is_left_alone(inv, clone):
    done = inv("--version", root=clone)
    assert done.stderr == ""
    assert done.stdout.startswith("Invoke 2.2")
