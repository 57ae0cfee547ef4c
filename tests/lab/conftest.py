"""A lab for the tests: a real registry, and a real Swarm of servers with SSH."""

from __future__ import annotations

import os
import shlex
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Exports = dict[str, str]


def inv(*words: str, env: Exports | None = None) -> subprocess.CompletedProcess[str]:
    """Run `./inv` here, in an environment that knows of no other lab, registry or server."""
    foreign = ("INVOKE_", "CI_", "SSH_", "GITHUB_")
    clean = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith(foreign)}
    return subprocess.run(
        ["./inv", *words],
        cwd=ROOT, env={**clean, **(env or {})}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def must(*words: str, env: Exports | None = None) -> str:
    """The same, for a task that succeeds; returns what it printed to stdout."""
    done = inv(*words, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def variables(text: str) -> Exports:
    """What the lines for the shell set."""
    words = shlex.split(text)
    assert set(words[::2]) == {"export"}
    return dict(word.split("=", 1) for word in words[1::2])


def new_name() -> str:
    """A name that no other lab has."""
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exports]:
    """A lab of three servers, as the variables with which tasks work with it.

    LAB_NAME is its name, for lab.status and the like.
    """
    name = new_name()
    try:
        exports = variables(must("lab.up", "--name", name))
        login = str(tmp_path_factory.mktemp("docker-config"))
        yield {**exports, "LAB_NAME": name, "DOCKER_CONFIG": login}
    finally:
        must("lab.down", "--name", name)
