"""A Compose project is read with the variables that it is given, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from invoke import Config, Context

from tasks.lib.docker.compose import NEEDED, Project

# Answers with its words and its variables.
SCRIPT = """\
#!/bin/sh
exec /usr/bin/python3 -c '
import json, os, sys
print(json.dumps({"words": sys.argv[1:], "variables": dict(os.environ)}))' "$@"
"""


@pytest.fixture
def read(tmp_path: Path, monkeypatch):
    """Reads a project with a variable of its own."""
    (tmp_path / "docker").write_text(SCRIPT)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    ctx = Context(Config(overrides={"run": {"dry": False, "echo": False}}))
    return Project(ctx, [tmp_path / "base.yml"], "app", {"IMAGE": "ours"}).config


@pytest.mark.parametrize(
    "name",
    [
        *("LOG_LEVEL", "IMAGE", "SECRET_KEY", "HTTP_PROXY", "DOCKER_DEFAULT_PLATFORM"),
        *("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES", "COMPOSE_PROJECT_NAME"),
    ],
)
def test_no_variable_of_this_shell_is_used(read, monkeypatch, name):
    before = read()["variables"]
    monkeypatch.setenv(name, "hostile")
    assert read()["variables"] == before
    assert before["IMAGE"] == "ours"


def test_no_file_of_variables_is_used(read):
    assert re.search("--env-file /dev/null config", " ".join(read()["words"]))


def test_docker_gets_what_it_needs(read, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", "/a/folder")
    found = read()["variables"]
    assert found["DOCKER_CONFIG"] == "/a/folder"
    assert set(found) <= {*NEEDED, "IMAGE", "PWD", "SHLVL", "_", "LC_CTYPE", "OLDPWD"}
