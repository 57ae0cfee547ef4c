"""A new project of any legal name runs, and passes its checks right away."""

from __future__ import annotations

import json
import keyword
import re
import sys

import pytest
import yaml

from tasks.lib.images import data
from tasks.lib.project import pipeline, requirements
from tests.testbed import commands, projects
from tests.testbed.commands import ROOT, git
from tests.testbed.projects import NOWHERE

QUESTIONS = yaml.safe_load((ROOT / "copier.yml").read_text("utf-8"))
# A file of the project that a page leads to.
LINK = re.compile(r"\]\(([\w./-]+)(?:#[\w-]+)?\)")
TOPS = """
import json
from importlib.metadata import packages_distributions
from django.conf import settings
found = {each.rpartition(".")[2]: ["django"] for each in settings.INSTALLED_APPS}
print(json.dumps(found | packages_distributions()))
"""


# Six letters; one; words with digits; and the longest: names of secrets have 49 characters more.
SLOW = [("empty", "a"), ("links", "my-2shops"), ("links", "our-company-2go")]


@pytest.mark.parametrize(
    ("app", "name"),
    [("empty", "market"), *(pytest.param(*it, marks=pytest.mark.slow) for it in SLOW)],
)
def test_a_new_project_passes_its_tests_and_checks(template, tmp_path, inv, app, name):
    root = projects.new(template, tmp_path / "new", app=app, name=name)
    done = inv("test", "--engine=host", root=root, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the pipeline's tests" not in done.stdout
    package = name.replace("-", "_")
    assert f"TOTAL coverage of {package}, branches counted: " in done.stdout
    done = inv("format", "lint", "types", "quality", "doctor", root=root, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "findings: none" in done.stderr
    found = git(root, "grep", "--name-only", "--ignore-case", "-e", "myapp", "-e", "short links")
    pages = {"docs/deploy.md", "docs/faults.md", "docs/orchestrators.md"}
    assert app == "links" or {*found.split()} == pages


def test_what_lands_is_the_pipeline_and_the_app_and_nothing_of_this_repository(template, tmp_path):
    root = projects.new(template, tmp_path / "shop")
    assert {path.name for path in root.iterdir()} - {".git", ".inv"} == {
        *(".copier-answers.yml", ".dockerignore", ".gitattributes", ".gitignore", ".yamllint"),
        *(".gitlab-ci.yml", "Dockerfile", "README.md", "invoke.yaml", "inv", "manage.py"),
        *("compose", "docker", "docs", "lab", "pyproject.toml", "requirements", "shop", "tasks"),
    }
    assert not (root / "requirements/selftest.txt").exists()
    sources = {data.FILE, data.BASE}.union(*data.SOURCES.values())
    assert [each for each in sorted(sources) if not any(root.glob(each))] == []
    pages = [page for page in root.glob("docs/**/*.md") if page.parent.name in {"docs", "recipes"}]
    links = {(page, name) for page in pages for name in LINK.findall(page.read_text("utf-8"))}
    assert [name for page, name in links if not (page.parent / name).exists()] == []
    for name in (*pipeline.FILES, "requirements/tasks.txt"):
        if (root / name).is_file():
            assert (root / name).read_bytes() == (ROOT / name).read_bytes(), name
    assert "_commit: v1.0.0\n" in (root / ".copier-answers.yml").read_text()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"name": "app"}, "the pipeline uses this name"),
        ({"name": "tasks"}, "the pipeline uses this name"),
        ({"package": "celery"}, "a library that the app uses has this name"),
        ({"name": "Shop"}, "use a-z, 0-9 and single hyphens"),
        ({"name": "a-name-that-is16"}, "at most 15 characters"),
        ({"name": "shop", "package": "2shop"}, "use a-z, 0-9 and single underscores"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_anything_is_written(template, tmp_path, data, why):
    done = projects.copier("copy", template, tmp_path / "new", folder=tmp_path, **data)
    assert done.returncode != 0
    assert why in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_every_name_that_another_module_has_is_known():
    done = commands.inv("manage", f"shell --verbosity=0 --command '{TOPS}'", "--engine=host")
    locked = {re.sub(r"[._-]+", "_", pin.name) for pin in requirements.pins("app", "test")}
    modules = json.loads(done.stdout.splitlines()[-1]).items()
    tops = {
        top
        for top, dists in modules
        if locked & {re.sub(r"[._-]+", "_", it.lower()) for it in dists}
    }
    assert tops > {"celery", "admin", "django"}
    tops |= {*sys.stdlib_module_names, *keyword.kwlist}
    legal = {name for name in tops if re.fullmatch("[a-z][a-z0-9_]*", name)}
    known = {word for key in ("taken", "pipeline") for word in QUESTIONS[key]["default"].split()}
    assert sorted(legal - known - {"myapp"}) == []
