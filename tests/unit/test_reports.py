"""With --json a task prints one line that the schema knows, and nothing else on stdout."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from docs.schema import REPORTS
from docs.schema import reports as schema
from tasks import namespace
from tasks.lib import redaction, reports
from tasks.lib.data import backups
from tasks.lib.deploys import outcome, plan, preflight
from tasks.lib.deploys.deployment import Deployment
from tasks.lib.deploys.plan import Plan
from tasks.lib.environments import audit, jobs, releases, secret_values, status
from tasks.lib.environments.server_setup import ServerCheck
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.images import contents, listing
from tasks.lib.lab.status import LabStatus, Part
from tasks.lib.redaction import know, redact
from tasks.lib.reports import Report
from tests.orchestrators.servers import registry, serving
from tests.orchestrators.world import World
from tests.testbed.commands import ROOT

PUBLISHED = json.loads((ROOT / "docs/reports.schema.json").read_text("utf-8"))
CHECK = jsonschema.Draft202012Validator(PUBLISHED)
FOUND = {
    "queues": {"celery": 3},
    "workers": {"celery@one": True},
    "jobs": [{"job": "a.b", "id": "7f", "worker": "celery@one", "state": "running",
              "seconds": 4, "limit": 300}, {"job": "a.b", "id": "80", "worker": "celery@one",
              "state": "reserved", "seconds": None, "limit": None}],
    "failures": [{"at": 1_799_999_000.0, "job": "a.b", "id": "7e", "error": "ValueError"}],
}  # fmt: skip
LISTED = {
    "backups": [
        {"name": "20261126T140305Z", "bytes": 900, "places": ["volume"], "release": 4},
        {"name": "20261125T140305Z", "bytes": 900, "places": ["storage"], "recipients": ["age1x"]},
    ],
    "state": {"drilled": "20261125T140305Z"},
    "problem": "",
}


def deployed(world: World, run: bool = True) -> Deployment:
    """A deploy of a new image, or one of the image that runs."""
    image = world.image()
    world.deploy(image)
    if run:
        image = world.image()
    with world.target.locked("deploys") as lock:
        made = Deployment.of_image(world.target, world.render(image), image, lock)
        made.run_if_needed()
    return made


def images(world: World) -> Report:
    world.deploy(world.image())
    return listing.report(contents.read(world.target.registry), ["prod"], 3)


def planned(world: World) -> Report:
    world.deploy(world.image())
    world.by_hand.scale("worker", 0)
    return plan.read(world.target, world.render(world.image()), "", plan.MANIFESTS)


MAKE: dict[str, Any] = {
    "backup.list": lambda world: backups.report("prod", LISTED),
    "deploy": lambda world: outcome.read(deployed(world)),
    "deploy --plan": planned,
    "history.audit": lambda world: [deployed(world), audit.read(world.target, 9)][1],
    "history.list": lambda world: [deployed(world), releases.read(world.target, 1)][1],
    "history.show": lambda world: [deployed(world), releases.show(world.target, "")][1],
    "images.list": images,
    "jobs": lambda world: jobs.report("prod", FOUND, 1, 1_800_000_000.0),
    "lab.status": lambda world: LabStatus(lab="lab", parts=[Part("n1", "healthy", "", "")]),
    "preflight": lambda world: preflight.dry_run(world.target, ""),
    "rollback": lambda world: outcome.read(deployed(world, run=False)),
    "secrets.list": lambda world: secret_values.listed(world.target),
    "server.check": lambda world: ServerCheck(environment="prod"),
    "status": lambda world: [deployed(world), status.read(world.target)][1],
}


def one(text: str) -> dict[str, Any]:
    """The only line of a text, which the published schema must know."""
    (line,) = text.splitlines()
    found = json.loads(line)
    CHECK.validate(found)
    return dict(found)


@pytest.mark.parametrize("task", MAKE)
def test_a_report_is_one_line_of_its_schema_and_has_a_text(world, task, capfd):
    report = MAKE[task](world)
    assert isinstance(report, REPORTS[task])
    capfd.readouterr()
    reports.show(report, as_json=True)
    shown = capfd.readouterr()
    assert one(shown.out)["report"] == report.__struct_config__.tag
    assert shown.err == ""
    reports.show(report, as_json=False)
    assert capfd.readouterr().out.strip() == redact(report.text()).strip() != ""


def test_each_task_with_the_option_has_a_report_and_each_report_a_test():
    with_option = {
        name
        for name in namespace.task_names
        if "json" in {each.name for each in namespace[name].get_arguments()}
    }
    assert with_option == {name.partition(" ")[0] for name in REPORTS}
    assert {*MAKE, "doctor"} == {*REPORTS}


def test_every_report_is_in_the_schema():
    source = "\n".join(file.read_text("utf-8") for file in (ROOT / "tasks").rglob("*.py"))
    tags = re.findall(r'^class \w+\(Report,[^)]* tag="(\w+)"\)', source, re.MULTILINE)
    assert sorted(tags) == sorted(schema()["discriminator"]["mapping"])


def test_the_schema_refuses_what_is_no_report(world):
    found = json.loads(reports.line(MAKE["history.list"](world)))
    CHECK.validate(found)
    for wrong in ({"older": "3"}, {"schema": 2}, {"report": "nothing"}):
        assert not CHECK.is_valid(found | wrong)
    assert not CHECK.is_valid({key: found[key] for key in found if key != "problems"})


def test_problems_are_in_the_report_and_end_the_task(world, capfd):
    world.deploy(world.image())
    world.target.orchestrator.inner.cluster.ready.clear()
    capfd.readouterr()
    with pytest.raises(TaskError, match=r"app: 0/2 healthy[^-]*503 - see inv logs") as caught:
        reports.show(status.read(world.target), True, "see inv logs")
    assert caught.value.shown and caught.value.code == ExitCode.FAILED
    problems = one(capfd.readouterr().out)["problems"]
    assert "app: 0/2 healthy, 1 starting" in problems


def test_no_secret_is_in_it_and_a_number_stays_one(capfd, monkeypatch):
    monkeypatch.setattr(redaction, "_known", {})
    know("API_KEY", 'correct "horse"\nbattery')
    know("PIN", "123456")
    parts = [Part('correct "horse"\nbattery', "healthy", "123456", "")]
    reports.show(LabStatus(lab="lab", parts=parts), as_json=True)
    found = one(capfd.readouterr().out)
    assert found["parts"][0] | {"state": ""} == {
        "name": "[API_KEY]", "state": "", "where": "[PIN]", "more": ""
    }  # fmt: skip
    nothing: dict[str, Any] = {"changes": [], "commits": [], "interrupted": []}
    same = Plan(environment="prod", stack="s", image="", state="same", since=123456, drift=None,
                **nothing)  # fmt: skip
    reports.show(same, as_json=True)
    assert one(capfd.readouterr().out)["since"] == 123456


def test_a_deploy_with_its_hooks_prints_nothing_else_on_stdout(world, capfd):
    world.target.hooks.mkdir()
    for name in ("pre-deploy", "post-deploy"):
        (world.target.hooks / name).write_text("#!/bin/sh\necho from a hook\n")
        (world.target.hooks / name).chmod(0o755)
    reports.show(outcome.read(deployed(world)), as_json=True)
    shown = capfd.readouterr()
    assert one(shown.out)["release"]["number"] == 2
    assert shown.err.count("from a hook") == 4


# The command itself.


def test_doctor_prints_a_report(inv):
    done = inv("doctor", "--json")
    found = one(done.stdout)
    assert found["report"] == "doctor"
    assert done.returncode == int(bool(found["problems"]))
    assert {each["what"] for each in found["findings"]} >= {"python", "git", "disk"}


def test_the_images_of_a_registry_are_printed(inv):
    with serving(registry()) as place:
        done = inv("images", "--json", INVOKE_REGISTRY_IMAGE=f"{place}/app")
    assert done.returncode == 0, done.stderr
    assert one(done.stdout) | {"schema": 0} == {
        "report": "images", "schema": 0, "problems": [], "images": [], "hidden": 0
    }  # fmt: skip


def test_the_table_of_exit_statuses_is_that_of_the_tasks():
    text = (ROOT / "docs/reports.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w*)` \|", text, re.MULTILINE)
    assert rows == [("0", "OK"), *((str(code.value), code.name) for code in ExitCode)]


def test_the_page_names_each_task_and_its_report():
    text = (ROOT / "docs/reports.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z. -]+)` \| `(\w+)` \|", text, re.MULTILINE)
    assert dict(rows) == {name: kind.__struct_config__.tag for name, kind in REPORTS.items()}


@pytest.mark.parametrize(
    ("words", "status", "problem"),
    [
        (["status", "--env=nowhere"], 2, "unknown environment"),
        (["preflight", "--env=nowhere"], 2, "unknown environment"),
        (["lab.status", "--name=nowhere"], 1, "lab nowhere not found - ./inv lab.up"),
    ],
)
def test_an_error_is_a_report_too_and_one_line_on_stderr(inv, words, status, problem):
    done = inv(*words, "--json")
    found = one(done.stdout)
    assert (found["report"], found["status"], done.returncode) == ("error", status, status)
    assert problem in found["problems"][0]
    assert done.stderr == f"inv: {found['problems'][0]}\n"
    assert inv(*words).stdout == ""
