"""A project that was made from an older version, and edited, is upgraded to a newer one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keys
import pytest
import yaml

from tests.testbed import clones, projects
from tests.testbed.commands import git
from tests.testbed.projects import NOWHERE
from tests.testbed.recipes import done_to

# The pages of docs/recipes that the project was changed by.
RECIPES = ("variable", "secret", "second-app", "second-queue", "user-model")
TEXT = """\
deploy:
  # How long it may take.
  timeout: 300  # seconds
  # How long it is watched.
  # In seconds.
  soak:
    - 5

  keep: 10
app:
  probes: {live: /livez, ready: /readyz}
"""


def test_a_key_keeps_its_value_and_its_comment():
    after = keys.upgraded(TEXT, {"deploy.timeout": "limit", "app.probes.live": "alive"})
    assert after == TEXT.replace("timeout:", "limit:").replace("live:", "alive:")


def test_a_key_without_a_new_name_is_gone_with_its_comment():
    after = keys.upgraded(TEXT, {"deploy.soak": "", "app.probes.live": ""})
    assert after.splitlines()[:5] == [*TEXT.splitlines()[:3], "", "  keep: 10"]
    assert "probes: {ready: /readyz}" in after


def test_a_key_that_is_not_there_changes_nothing():
    assert keys.upgraded(TEXT, {"deploy.none": "some", "none.none": ""}) == TEXT


def edit(file: Path, *pairs: tuple[str, str]) -> None:
    """Replace texts that are in a file."""
    text = file.read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    file.write_text(text)


def release(template: Path) -> None:
    """Make version 1.1.0: another name of a key, a new file, one that is gone, a changed one."""
    edit(template / "tasks/lib/project/settings.py", ("soak: Annotated", "watch: Annotated"))
    for file in (template / "tasks").rglob("*.py"):
        file.write_text(file.read_text().replace("deploy.soak", "deploy.watch"))
    edit(template / "invoke.yaml", ("  soak: 5", "  watch: 5"))
    edit(template / "template/keys.py", ("] = {}", '] = {"1.1.0": {"deploy.soak": "watch"}}'))
    edit(
        template / "CHANGELOG.md",
        ("\n## [1.0.0]", "\n## [1.1.0]\n\n- `soak` is `watch`.\n\n## [1.0.0]"),
    )
    edit(template / "compose/server.yml", ("services:", "# Changed.\nservices:"))
    (template / "compose/new.yml").write_text("services: {}\n")
    (template / "docs/faults.md").unlink()
    clones.commit(template, "1.1.0")
    git(template, "tag", "v1.1.0")


@pytest.fixture
def project(tmp_path) -> Path:
    """A project of version 1.0.0, beside the repository that has 1.1.0 now."""
    template = projects.make_template(tmp_path / "template", "v1.0.0")
    root = projects.new(template, tmp_path / "shop")
    release(template)
    return root


def test_an_upgrade_merges_both_sides_and_ends_with_the_checks(project, inv):
    for page in RECIPES:
        done_to(project, page)
    edit(project / "invoke.yaml", ("REPLICAS: 2", "REPLICAS: 5"))
    with (project / "compose/server.yml").open("a") as file:
        file.write("# Ours.\n")
    clones.commit(project, "edited")
    before = settings(project)

    done = projects.copier("update", folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "- `soak` is `watch`." in said and "From 1.0.0 to 1.1.0" in said
    assert "every key known, every value of its type" in said
    before["deploy"]["watch"] = before["deploy"].pop("soak")
    assert settings(project) == before
    server = (project / "compose/server.yml").read_text()
    assert "# Changed.\nservices:" in server and server.endswith("# Ours.\n")
    assert (project / "compose/new.yml").exists()
    assert not (project / "docs/faults.md").exists()
    assert "_commit: v1.1.0\n" in (project / ".copier-answers.yml").read_text()
    changed = {*git(project, "diff", "--name-only", "HEAD").split()}
    assert [name for name in changed if name.startswith(("shop/", "billing/"))] == []
    done = inv("test", "--engine=host", root=project, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr


def settings(root: Path) -> dict[str, Any]:
    """Return what a project's invoke.yaml says."""
    return yaml.safe_load((root / "invoke.yaml").read_text())


@pytest.mark.slow
def test_a_conflict_stands_in_the_file_and_is_named(project):
    edit(project / "compose/server.yml", ("services:", "# Ours.\nservices:"))
    clones.commit(project, "edited")
    done = projects.copier("update", folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "conflicts, as git shows them: compose/server.yml" in done.stdout
    text = (project / "compose/server.yml").read_text()
    assert "<<<<<<< before updating\n# Ours.\n" in text and "# Changed.\n" in text
    assert git(project, "status", "--short", "compose/server.yml").startswith("UU")


def test_what_is_not_committed_is_not_touched(project):
    edit(project / "invoke.yaml", ("  soak: 5", "  soak: 6"))
    done = projects.copier("update", folder=project)
    assert done.returncode != 0
    assert "dirty" in done.stderr
    assert "soak: 6" in (project / "invoke.yaml").read_text()
