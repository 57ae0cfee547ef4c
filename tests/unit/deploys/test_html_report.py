"""The report of a plan or a deploy: one file, without a script, in which every text is escaped."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from docs import pipeline
from tasks.lib import pages, redaction
from tasks.lib.deploys import html_report, outcome, plan
from tasks.lib.deploys.deployment import Deployment
from tasks.lib.errors import TaskError
from tasks.lib.images import promotion
from tasks.lib.images.promotion import Candidate
from tasks.lib.redaction import know
from tests.orchestrators.memory import Image
from tests.orchestrators.world import World, push
from tests.testbed.clones import commit
from tests.testbed.commands import ROOT, git

EVIL = '<script>alert(1)</script> & "more" \'</pre>'


class Seen(HTMLParser):
    """What a browser would make of a page: its elements, and the text of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: dict[str, str] = {}
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append(tag)
        self.attributes |= {key: value or "" for key, value in attrs}

    def handle_data(self, data) -> None:
        self.text += data


def seen(file: Path) -> Seen:
    """A page, which needs nothing from elsewhere."""
    found = Seen(file.read_text("utf-8"))
    assert {*found.elements} <= {
        *("html", "meta", "title", "style", "h1", "h2", "article", "pre", "p", "table", "tr"),
        *("th", "td"),
    }
    assert {*found.attributes} <= {
        "lang", "charset", "http-equiv", "content", "name", "class", "tabindex"
    }  # fmt: skip
    return found


def image(world: World, revision: str, **behaviour) -> Candidate:
    """An image of a commit."""
    registry = world.target.registry
    manifest = push(registry, revision)
    name = str(registry.image.at(manifest.digest))
    world.orchestrator.inner.cluster.images[name] = Image(revision, **behaviour)
    promotion.mark_tested(registry, manifest.digest)
    return Candidate(manifest, revision)


@pytest.fixture
def commits(tmp_path: Path, monkeypatch) -> list[str]:
    """Two commits of the clone that this runs in; the message of the second is evil."""
    root = tmp_path / "clone"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    for number, message in enumerate(["first", EVIL]):
        (root / "file").write_text(str(number))
        commit(root, message)
    monkeypatch.chdir(root)
    return git(root, "log", "--reverse", "--format=%H").split()


def run(world: World, wanted: Candidate, file: Path) -> None:
    """Deploy an image with a report, as the verb does."""
    with (
        html_report.written(str(file), "prod") as page,
        world.target.locked("deploys") as lock,
    ):
        stack = world.render(wanted)
        deployment = page.of(Deployment.of_image(world.target, stack, wanted, lock))
        deployment.run_if_needed()
        page.show(outcome.read(deployment), as_json=False)


def test_a_deploy_has_a_page_with_its_commits_and_changes(world, commits, tmp_path):
    old, new = (image(world, each) for each in commits)
    run(world, old, tmp_path / "first.html")
    assert "release 1 runs" in seen(tmp_path / "first.html").text
    run(world, new, tmp_path / "deploy.html")
    found = seen(tmp_path / "deploy.html")
    assert "Deploy of prod" in found.text and "release 2 runs" in found.text
    assert f"+ {commits[1][:7]} {EVIL}" in found.text
    assert "~ services.app.image" in found.text and new.digest in found.text
    run(world, new, tmp_path / "again.html")
    assert "release 2 runs already: nothing to do" in seen(tmp_path / "again.html").text


def test_a_plan_has_a_page(world, commits, tmp_path):
    old, new = (image(world, each) for each in commits)
    world.deploy(old)
    world.by_hand.scale("worker", 0)
    with html_report.written(str(tmp_path / "plan.html"), "prod") as page:
        page.show(plan.read(world.target, world.render(new), new.revision), as_json=False)
    found = seen(tmp_path / "plan.html")
    assert "Plan for prod" in found.text and "the stack myapp-prod: changes" in found.text
    assert EVIL in found.text
    assert "Changed by hand since release 1; a deploy repairs it" in found.text


def test_a_deploy_that_failed_has_a_page_that_says_why(world, tmp_path):
    world.deploy(world.image())
    broken = image(world, "b" * 40, exits=True, migrations=("myapp.9001_one",))
    with pytest.raises(TaskError, match="rolled back"):
        run(world, broken, tmp_path / "deploy.html")
    found = seen(tmp_path / "deploy.html")
    assert "undone" in found.text and "rolled back: release 1" in found.text
    assert found.attributes["class"] == "bad"
    assert "myapp.9001_one" in found.text


@pytest.mark.parametrize("error", [TaskError("one is wrong\ninv: two, too"), KeyboardInterrupt()])
def test_what_fails_before_it_begins_has_a_page_too(tmp_path, error):
    with pytest.raises(type(error)), html_report.written(str(tmp_path / "a/d.html"), "prod"):
        raise error
    found = seen(tmp_path / "a/d.html")
    assert "Deploy of prod" in found.text and "failed" in found.text
    assert ("two, too" in found.text) == isinstance(error, TaskError)


def test_without_a_file_nothing_is_written_but_by_a_ci(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CI", "")
    with html_report.written("", "prod"):
        pass
    assert [*tmp_path.iterdir()] == []
    monkeypatch.setenv("CI", "true")
    for wanted in (False, True):
        with html_report.written("", "prod", plan=wanted):
            pass
    assert {f"reports/{each.name}" for each in (tmp_path / "reports").glob("*.html")} == {
        html_report.DEPLOY, html_report.PLAN
    }  # fmt: skip


def test_the_pipelines_keep_the_pages():
    jobs = pipeline.jobs(pipeline.read(pipeline.FILE.read_text("utf-8"))[1])
    kept = {
        name: job["artifacts"]["paths"]
        for name, job in jobs.items()
        if job["script"].split()[1] in {"deploy", "rollback"}
    }
    assert kept.pop("plan:prod") == [html_report.PLAN]
    assert {file for files in kept.values() for file in files} == {html_report.DEPLOY}
    assert {jobs[name]["artifacts"]["when"] for name in [*kept, "plan:prod"]} == {"always"}
    workflow = yaml.safe_load((ROOT / ".github/workflows/pipeline.yml").read_text("utf-8"))
    for name in [*kept, "plan:prod"]:
        *_, last = workflow["jobs"][name.replace(":", "-")]["steps"]
        assert last["with"]["path"] == "reports" and last["if"] == "always()"


def test_no_secret_is_on_a_page(monkeypatch):
    monkeypatch.setattr(redaction, "_known", {})
    know("API_KEY", "a&b <secret>")
    assert pages.block("it is a&b <secret>") == '<pre tabindex="0">it is [API_KEY]</pre>\n'
    assert "[API_KEY]" in pages.page("a&b <secret>", "")


def test_the_command_writes_a_page_although_it_fails(inv, tmp_path):
    file = tmp_path / "deploy.html"
    done = inv("deploy", "--env=nowhere", f"--report={file}", "--json")
    assert done.returncode == 2
    assert "unknown environment" in seen(file).text
