"""Somebody else's project is adopted, tested, built and deployed, with nothing edited by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tasks.lib.project import pipeline
from tests.testbed import clones, commands, labs, projects
from tests.testbed.commands import ROOT, docker, environment, git
from tests.testbed.runs import Run

pytestmark = [pytest.mark.engine, pytest.mark.slow]
# What makes each project, in a container that has Python; and what it then lacks to be one.
STARTED = {
    "Django 5.2": ("django~=5.2.0", "django-admin startproject mysite ."),
    "Django 6.1": ("django~=6.1.0", "django-admin startproject mysite ."),
    "Wagtail": ("wagtail", "wagtail start mysite ."),
}
TESTS = """\
from django.test import TestCase


class Page(TestCase):
    def test_login(self):
        self.assertEqual(200, self.client.get("/admin/login/").status_code)
"""
# The most minutes of a machine, from the adoption to the page that answers in the lab.
LIMIT = 10


def start(kind: str, root: Path) -> None:
    """Make a project with the tool of its framework, and commit it as its team would."""
    requirement, command = STARTED[kind]
    install = f"pip install --quiet --root-user-action=ignore '{requirement}'"
    own = f"{root.stat().st_uid}:{root.stat().st_gid}"
    script = f"{install} && {command} && chown -R {own} ."
    mount = ["--volume", f"{root}:/site", "--workdir", "/site"]
    docker("run", "--rm", *mount, "python:3.13-slim-trixie", "sh", "-euc", script)
    if not (root / "requirements.txt").exists():
        (root / "requirements.txt").write_text(f"{requirement}\n")
        (root / "mysite/tests.py").write_text(TESTS)
    git(root, "init", "--quiet", "--initial-branch=main")
    clones.commit(root, "a project")


@pytest.fixture
def site(request, tmp_path) -> Iterator[Path]:
    """A project of a kind."""
    root = tmp_path / "site"
    root.mkdir()
    start(request.param, root)
    yield root
    commands.inv("down", "--volumes", "--yes", root=root)
    remove_images()


def remove_images() -> None:
    """Remove the images of the projects."""
    for name in ("*/site", "*/example/site", "site-site-*"):
        images = docker("image", "ls", "--quiet", f"--filter=reference={name}").split()
        if images:
            docker("image", "rm", "--force", *{*images})


def must(root: Path, *words: str, **env: str) -> str:
    """Run a task that succeeds; returns what it printed."""
    run = Run(["./inv", *words], root, environment(**env)).succeed(600)
    print(f"{run.seconds:4.0f} s  inv {' '.join(words)}")
    return run.text


@pytest.mark.parametrize("site", STARTED, indirect=True)
def test_a_project_goes_from_its_first_commit_to_a_server(template, site, port, tmp_path):
    began = time.monotonic()
    clones.lend_venv(site)
    answers = {"agreed": "true", "replace": "[Dockerfile, .dockerignore]", "name": "site"}
    done = projects.copier("copy", template, ".", folder=site, **answers)
    assert done.returncode == 0, done.stdout + done.stderr
    commit = clones.commit(site, "adopted")
    print(f"{time.monotonic() - began:4.0f} s  adopt")

    must(site, "dev", "--detach", f"--port={port}")
    assert "password" in commands.page(f"http://127.0.0.1:{port}/admin/login/")
    must(site, "down", "--volumes", "--yes")
    assert "Ran " in must(site, "test")

    with labs.started(tmp_path / "lab", root=site, orchestrator="compose") as lab:
        must(site, "build", "--push", **lab)
        must(site, "test", f"--image={commit}", **lab)
        must(site, "deploy", "--env=lab", f"--ref={commit}", **lab)
        settings = yaml.safe_load(Path(lab["INVOKE_RUNTIME_CONFIG"]).read_text())
        page = commands.page(f"{settings['environments']['lab']['url']}/admin/login/")
        assert "password" in page
    minutes = (time.monotonic() - began) / 60
    print(f"{minutes:4.1f} min in all")
    assert minutes < LIMIT

    assert git(site, "status", "--short") == ""
    for name in pipeline.FILES:
        if (site / name).is_file():
            assert (site / name).read_bytes() == (ROOT / name).read_bytes(), name
    edited = git(site, "diff", "--name-only", "--diff-filter=M", f"{commit}~1").split()
    assert {*edited} <= {"Dockerfile", ".dockerignore", ".gitignore"}
