"""A Django project of somebody else is adopted by one command, and nothing of it is overwritten."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import adopt as adoption
import pytest
import yaml

from tests.testbed import clones, commands, projects
from tests.testbed.commands import ROOT, environment, git
from tests.testbed.projects import NOWHERE

TESTS = """\
from django.test import TestCase


class Page(TestCase):
    def test_login(self):
        self.assertEqual(200, self.client.get("/admin/login/").status_code)
"""
OURS = {".venv/mine": "x", "Dockerfile": "FROM scratch\n", ".gitlab-ci.yml": "a: {script: make}\n"}


@pytest.fixture
def site(tmp_path) -> Path:
    """What django-admin startproject makes with the locked Django, with one test, in git."""
    root = tmp_path / "site"
    root.mkdir()
    words = [ROOT / ".inv/app/bin/python", "-m", "django", "startproject", "mysite", root]
    subprocess.run(words, check=True)
    (root / "mysite/tests.py").write_text(TESTS)
    (root / "requirements.txt").write_text("django~=5.2.0\n")
    git(root, "init", "--quiet", "--initial-branch=main")
    clones.commit(root, "a project")
    return root


def adopt(template: Path, root: Path, **data: str) -> tuple[int, str]:
    """Adopt a project without a terminal; the environments here are lent to it."""
    if not (root / ".inv").exists():
        clones.lend_venv(root)
    done = projects.copier("copy", template, ".", folder=root, **data)
    return done.returncode, done.stdout + done.stderr


def test_a_new_django_project_is_adopted_and_tested(template, site, inv):
    status, said = adopt(template, site, agreed="true", lock="false")
    assert status == 0, said
    assert "mysite.settings (dev), mysite.settings (test), mysite.settings_released" in said
    assert [line for line in git(site, "status", "--short").splitlines() if line[:2] != "??"] == []
    for name in ("app", "test", "types"):
        shutil.copy(ROOT / f"requirements/{name}.txt", site / "requirements")
    done = inv("doctor", root=site, **NOWHERE)
    assert re.search(r"^ok +app ", done.stdout, re.MULTILINE), done.stdout
    done = inv("test", "--engine=host", root=site, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 1 test" in done.stderr
    done = inv("types", root=site, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_settings_of_the_released_image_take_what_the_pipeline_passes(template, site):
    adopt(template, site, agreed="true", lock="false")
    given = {
        "DJANGO_SETTINGS_MODULE": "mysite.settings_released",
        "DATABASE_URL": "postgres://app_1@db:5432/app", "DATABASE_PASSWORD": "p@ss",
        "SITE_URL": "https://shop.example.com", "SECRET_KEY": "x" * 60,
    }  # fmt: skip
    python, env = ROOT / ".inv/app/bin/python", environment(**given)
    show = "from django.conf import settings as s; d = s.DATABASES['default']; "
    show += "print(d['HOST'], d['USER'], d['PASSWORD'], s.ALLOWED_HOSTS[0], s.STATIC_ROOT, s.DEBUG)"
    seen = subprocess.run([python, "-c", show], cwd=site, env=env, capture_output=True, text=True)
    assert seen.stdout == f"db app_1 p@ss shop.example.com {site / 'staticfiles'} False\n", (
        seen.stderr
    )
    check = [python, "manage.py", "check", "--deploy", "--fail-level", "ERROR"]
    subprocess.run(check, cwd=site, env=env, check=True)


@pytest.mark.slow
def test_its_requirements_are_locked_too(template, site):
    status, said = adopt(template, site, agreed="true")
    assert status == 0, said
    assert "django==5.2." in (site / "requirements/app.txt").read_text()
    assert re.search(r"^ok +app ", said, re.MULTILINE), said


def test_nothing_is_written_without_a_yes(template, site):
    status, said = adopt(template, site)
    assert status != 0
    assert "found:" in said and "nothing was written" in said
    assert git(site, "status", "--short") == ""


@pytest.mark.slow
def test_files_of_the_team_stay_unless_they_are_named(template, site):
    for name, text in OURS.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text)
    status, said = adopt(template, site, agreed="true", lock="false", replace="[Dockerfile]")
    assert status == 0, said
    for name in (".venv/mine", ".gitlab-ci.yml"):
        assert (site / name).read_text() == OURS[name]
    assert [path.name for path in (site / ".venv").iterdir()] == ["mine"]
    assert (site / "Dockerfile").read_bytes() == (ROOT / "Dockerfile").read_bytes()
    assert ".gitlab-ci.yml is still yours" in said
    record = yaml.safe_load((site / ".copier-answers.yml").read_text())
    assert (record["keep"], record["ci"]) == ([".gitlab-ci.yml"], "gitlab")
    assert record["_src_path"] == str(template)
    clones.commit(site, "adopted")
    assert projects.copier("update", folder=site).returncode == 0
    assert (site / ".gitlab-ci.yml").read_text() == OURS[".gitlab-ci.yml"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("tasks/models.py", "tasks/ is yours, and the pipeline's folder has this name"),
        ("reports/models.py", "reports/ is yours, and the pipeline's folder has this name"),
        ("compose/base.yml", "the pipeline needs its own compose/base.yml - move yours"),
        ("other/manage.py", "folder is not clear"),
    ],
)
def test_what_cannot_be_adopted_as_it_is_is_said_before_anything_is_written(
    template, site, name, why
):
    (site / name).parent.mkdir()
    (site / name).write_text("")
    clones.commit(site, "in the way")
    status, said = adopt(template, site, app="own", agreed="true")
    assert status != 0
    assert why in said
    assert git(site, "status", "--short") == ""


def test_what_the_builder_does_not_get_is_no_name_of_a_package():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    names = {line for line in lines if re.fullmatch(r"\w+", line)}
    assert names == {*adoption.RESERVED}
    assert not any(line.endswith(".md") for line in lines)


@pytest.mark.engine
@pytest.mark.slow
def test_its_image_is_built_and_its_tests_and_server_run_in_docker(template, site, inv, port):
    # Settings may read any file that app.packages names, and packages have data of any kind.
    (site / "CHANGELOG.md").write_text("# 1.0\n")
    (site / "mysite/notes.md").write_text("# Notes\n")
    with (site / "mysite/settings.py").open("a") as settings:
        settings.write('for name in ("CHANGELOG.md", "mysite/notes.md"):\n')
        settings.write("    (BASE_DIR / name).read_text()\n")
    found = '{"packages": ["mysite", "CHANGELOG.md"]}'
    adopt(template, site, agreed="true", found=found)
    clones.commit(site, "adopted")
    try:
        for words in (["build"], ["test"], ["dev", "--detach", f"--port={port}"]):
            done = inv(*words, root=site)
            assert done.returncode == 0, done.stdout + done.stderr
        assert "password" in commands.page(f"http://127.0.0.1:{port}/admin/login/")
    finally:
        inv("down", "--volumes", "--yes", root=site)
        for name in ("*/example/site:*", "site-site-*"):
            images = commands.docker("image", "ls", "--quiet", f"--filter=reference={name}")
            commands.docker("image", "rm", "--force", *{*images.split()})
