"""Projects that Copier makes from this work tree, each with the environments here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.testbed import clones
from tests.testbed.commands import Done, environment, git

COPIER = Path(sys.executable).with_name("copier")
# Makes `./inv` in a project take no Docker engine.
NOWHERE = {"DOCKER_HOST": "unix:///nowhere.sock"}


def make_template(folder: Path, tag: str) -> Path:
    """Copy the work tree into a repository, as a person who tagged it has one."""
    clones.make_clone(folder)
    git(folder, "tag", tag)
    return folder


def copier(*words: str | Path, folder: Path, **data: str) -> Done:
    """Run Copier to its end without a question, and return what came of it."""
    answers = [f"--data={name}={value}" for name, value in data.items()]
    return subprocess.run(
        [COPIER, words[0], "--trust", "--defaults", *answers, *words[1:]],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def new(template: Path, folder: Path, **data: str) -> Path:
    """Make a project and commit it. Raises RuntimeError if Copier fails."""
    done = copier("copy", template, folder, folder=folder.parent, **data)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    clones.lend_venv(folder)
    clones.commit(folder, "new")
    return folder
