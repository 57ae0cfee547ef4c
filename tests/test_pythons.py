"""Every Python that is on this machine makes the environments, and runs the app's tests."""

from __future__ import annotations

import shutil
import subprocess

import pytest

OLDEST, NEWEST = 11, 15


def here() -> list[str]:
    """Return the Pythons on PATH that start."""
    names = [f"python3.{minor}" for minor in range(OLDEST, NEWEST + 1)]
    asked = [[name, "-c", ""] for name in names if shutil.which(name)]
    return [words[0] for words in asked if not subprocess.run(words, stderr=-3).returncode]


@pytest.mark.slow
@pytest.mark.parametrize("python", here())
def test_a_python_runs_the_pipeline_and_the_app(inv, clone, python):
    shutil.rmtree(clone / ".inv")
    done = inv("test", "--engine=host", "--path=myapp", root=clone, seconds=600, PYTHON=python)
    assert done.returncode == 0, done.stdout + done.stderr
    found = subprocess.run([clone / ".inv/app/bin/python", "-V"], capture_output=True, text=True)
    assert found.stdout.startswith(f"Python {python.removeprefix('python')}.")
