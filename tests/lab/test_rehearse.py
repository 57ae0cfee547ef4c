"""The pipelines, run for real: a good commit gets to prod, a broken one does not."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.testbed.clones import Clone
from tests.testbed.commands import environment, git
from tests.testbed.labs import new_name, variables
from tests.testbed.runs import Run
from tests.testbed.sites import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]
BROKEN_TEST = """
from django.test import SimpleTestCase


class Broken(SimpleTestCase):
    def test_it(self):
        self.fail("this one is broken")
"""
BROKEN_MIGRATION = """
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor



def work(apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if not schema_editor.connection.settings_dict["NAME"].startswith("test_"):
        raise RuntimeError("this migration is broken")


class Migration(migrations.Migration):
    dependencies = [("myapp", "0003_link_image")]
    operations = [migrations.RunPython(work, migrations.RunPython.noop)]
"""


@dataclass
class Rehearsals(Clone):
    """A clone, and a lab of its own for its pipelines."""

    name: str

    def inv(self, *words: str, **env: str) -> Run:
        """Run a task in the clone, to its end."""
        return Run(["./inv", *words], self.root, environment(**env)).wait(900)

    def rehearse(self, event: str, *more: str) -> Run:
        """Rehearse one event."""
        return self.inv("rehearse", "--name", self.name, "--event", event, *more)

    def include(self, path: str, text: str) -> str:
        """Commit a new file; returns the commit."""
        (self.root / path).write_text(text.lstrip())
        return self.commit(path)


def results(run: Run) -> dict[str, str]:
    """The table's results, by the job."""
    row = re.compile(r"(?:merge request|main|v[\w.-]+|rollback)  +(\S+)  +(\w+(?: \w+)?)\b")
    found = (row.match(line) for _, line in run.lines)
    return {each[1]: each[2] for each in found if each}


@contextmanager
def asked(site: Site) -> Iterator[list[str]]:
    """Ask a site twice a second which version it is; gives the answers."""
    answers: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.5):
            answers.extend(site.versions(1))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield answers
    finally:
        over.set()
        asking.join()


@pytest.fixture(scope="module")
def rehearsals(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[Rehearsals]:
    """A clone, and a lab of one server."""
    made = Rehearsals(make_clone(tmp_path_factory.mktemp("rehearsal") / "clone"), new_name())
    try:
        up = made.inv("lab.up", "--name", made.name, "--nodes", "1")
        assert up.status == 0, up.text
        yield made
    finally:
        made.inv("lab.down", "--name", made.name)


@pytest.fixture(scope="module")
def prod(rehearsals: Rehearsals) -> Site:
    """Prod, to which a tag has gone; prod.first is the rehearsal that brought it there."""
    first = rehearsals.rehearse("tag")
    assert first.status == 0, first.text
    up = subprocess.run(
        ["./inv", "lab.up", "--name", rehearsals.name],
        cwd=rehearsals.root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lab = {**variables(up.stdout), "LAB_NAME": rehearsals.name}
    good = git(rehearsals.root, "rev-parse", "HEAD")
    return Site(rehearsals.root, lab, "prod", good=good, first=first)


def test_a_tag_goes_through_every_stage_to_prod(prod):
    assert prod.first is not None
    found = results(prod.first)
    assert found.pop("audit") in ("passed", "warning")
    assert found.pop("rollback:prod") == "by hand"
    assert set(found.values()) == {"passed"}
    assert {"build", "check", "quality", "test", "release:prod", "deploy:prod"} <= found.keys()
    prod.serves(prod.good)


def test_every_step_shows_the_same_digest_and_the_deploy_where_it_went(prod):
    assert prod.first is not None
    digest = prod.registry.digest("prod").removeprefix("sha256:")[:12]
    rows = [line for _, line in prod.first.lines if line.startswith("v1.0.0-rehearsal")]
    shown = {row.split()[1]: row.split()[-1] for row in rows}
    assert [shown[name] for name in ("build", "test", "release:prod")] == [digest] * 3
    deployed = next(row for row in rows if " deploy:prod " in row)
    assert deployed.split()[-2:] == [digest, prod.url]


def test_the_logs_are_kept_and_have_no_secret(prod):
    logs = list((prod.root / "reports/rehearsal").glob("*.log"))
    assert len(logs) >= 10
    text = "".join(log.read_text() for log in logs)
    assert "./inv deploy" in text
    names = ("CI_REGISTRY_PASSWORD", "SECRET_KEY", "POSTGRES_PASSWORD")
    secrets = [prod.lab[name] for name in names] + prod.lab["SSH_PRIVATE_KEY"].splitlines()[1:-1]
    assert [name for name in secrets if name in text] == []


def test_nothing_is_committed_and_the_clone_is_gone(prod):
    assert prod.first is not None
    assert git(prod.root, "rev-parse", "HEAD") == prod.good
    assert git(prod.root, "status", "--porcelain") == ""
    assert git(prod.root, "tag") == ""


def test_a_failing_test_stops_there_and_nothing_is_released(prod, rehearsals):
    released = prod.registry.digest("prod")
    broken = rehearsals.include("myapp/tests/test_broken.py", BROKEN_TEST)
    try:
        run = rehearsals.rehearse("main")
    finally:
        git(prod.root, "reset", "--quiet", "--hard", "HEAD~1")
    found = results(run)
    assert run.status == 1
    assert run.lines[-1][1].startswith("inv: main: test failed"), run.text
    assert "this one is broken" in run.text
    assert (found["build"], found["test"]) == ("passed", "failed")
    assert {found[name] for name in ("release:staging", "deploy:staging")} == {"not run"}
    assert prod.registry.digest("staging") == ""
    assert prod.registry.digest(f"tested-{broken}") == ""
    assert prod.registry.digest("prod") == released
    prod.serves(prod.good)


def test_a_failing_migration_stops_at_the_deploy_and_prod_still_serves(prod, rehearsals):
    rehearsals.include("myapp/migrations/0003_broken.py", BROKEN_MIGRATION)
    try:
        with asked(prod) as answers:
            run = rehearsals.rehearse("tag")
    finally:
        git(prod.root, "reset", "--quiet", "--hard", "HEAD~1")
    found = results(run)
    assert run.status == 1
    assert run.lines[-1][1].startswith("inv: v1.0.0-rehearsal: deploy:prod failed"), run.text
    assert "this migration is broken" in run.text
    assert (found["test"], found["deploy:prod"]) == ("passed", "failed")
    assert found["smoke:prod"] == "not run"
    assert set(answers) == {prod.good} and len(answers) > 10
    prod.serves(prod.good)


def test_the_same_jobs_of_github_bring_a_tag_to_prod(prod, rehearsals):
    other = rehearsals.include("docs/note.md", "A change.")
    try:
        run = rehearsals.rehearse("tag", "--ci=github")
    finally:
        git(prod.root, "reset", "--quiet", "--hard", "HEAD~1")
    assert run.status == 0, run.text
    found = results(run)
    assert found.pop("audit") in ("passed", "warning")
    assert found.pop("rollback-prod") == "by hand"
    assert set(found.values()) == {"passed"}
    assert {"build", "check", "quality", "test", "plan-prod", "deploy-prod"} <= found.keys()
    prod.serves(other)


def test_another_repository_takes_the_pipeline_over_with_its_own_inputs(prod, tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(prod.root / ".gitlab-ci.yml", served / "pipeline.yml")
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        remote = f"http://127.0.0.1:{server.server_port}/pipeline.yml"
        inputs = {"staging": "test", "gate": "on_success"}
        file = {"include": [{"remote": remote, "inputs": inputs}], "default": {"image": "mine:1"}}
        (other / ".gitlab-ci.yml").write_text(yaml.safe_dump(file))
        tool = prod.root / ".lab/.tools/node_modules/.bin/gitlab-ci-local"
        done = subprocess.run(
            [tool, "--preview", "--no-color"], cwd=other, capture_output=True, text=True
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load(done.stdout.partition("---\n")[2])
    assert made["deploy:staging"]["environment"]["name"] == "test"
    assert made["deploy:prod"]["rules"][0]["when"] == "on_success"
    assert made["build"]["image"]["name"] == "mine:1"


def test_without_npm_it_is_refused_before_anything_is_made(rehearsals, tmp_path):
    for name in ("sh", "dirname", "cat", "cmp", "git", "docker", "rsync"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    run = rehearsals.inv("rehearse", "--name", "none", PATH=str(tmp_path))
    assert run.status == 2
    assert run.verdict == "inv: npm is not installed - install Node.js 20 or later"
    assert not (rehearsals.root / ".lab/none").exists()


def test_dry_changes_nothing(rehearsals):
    run = rehearsals.inv("--dry", "rehearse", "--name", "none")
    assert run.status == 0, run.text
    assert run.text.count("--variable=CI_COMMIT_TAG=v1.0") == 3
    assert not (rehearsals.root / ".lab/none").exists()
