"""A deployment's ends that no server can be brought to easily: records, backups, tags."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tasks.lib.deploys import plan
from tasks.lib.deploys.plan import require_shown
from tasks.lib.environments import releases, running
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.orchestrators.status import Evidence, Failure, Progress
from tasks.lib.redaction import know


def fail() -> None:
    raise TaskError("no answer")


def test_a_record_that_cannot_be_written_hides_no_other_failure(world, capfd):
    world.deploy(world.image())

    def break_host() -> None:
        world.host.before["run"] = fail

    world.orchestrator.after["evidence"] = lambda: world.orchestrator.after.update(
        progress=break_host
    )
    with pytest.raises(TaskError, match="rolled back: release 1"):
        world.deploy(world.image(exits=True))
    assert "warning: not recorded: release 2 undone (no answer)" in capfd.readouterr().err


def test_what_is_left_of_a_failure_is_recorded_without_secrets_and_shown_later(world, capfd):
    know("API_KEY", "correct horse battery")
    world.deploy(world.image())
    lines = ["no login with correct horse battery", "x" * 90_000]
    left = Evidence("node1", "503", lines, ["BackOff: correct horse battery"])
    world.target.orchestrator.inner.evidence = lambda failure: left
    with pytest.raises(TaskError) as failed:
        world.deploy(world.image(exits=True))
    assert "rolled back: release 1 (" in str(failed.value)
    assert str(failed.value).endswith(" - inv history.show --env=prod --number=2 shows more")
    world.deploy(world.image())
    shown = releases.show(world.target, "2")
    assert shown.release.state == "undone" and shown.evidence
    assert shown.evidence.lines == ["no login with [API_KEY]", "x" * 2000]
    assert shown.evidence.events == ["BackOff: [API_KEY]"]
    assert "on node1; its last lines:\n    no login with [API_KEY]\n" in shown.text()
    assert releases.show(world.target, "").release.number == 3
    assert "last lines" not in releases.show(world.target, "3").text()
    with pytest.raises(TaskError, match=r"no release 9 - inv history.list") as caught:
        releases.show(world.target, "9")
    assert caught.value.code == ExitCode.REFUSED


def test_what_is_left_and_cannot_be_recorded_keeps_from_no_undo(world, capfd):
    world.deploy(world.image())
    world.orchestrator.after["evidence"] = lambda: world.host.before.update(run=fail)
    with pytest.raises(TaskError, match=r"rolled back: release 1 .* - inv logs --env=prod shows"):
        world.deploy(world.image(exits=True))
    assert "warning: its last lines are not recorded: no answer" in capfd.readouterr().err


def test_what_is_left_of_a_backing_service_is_shown_and_recorded(world, capfd):
    inner = world.target.orchestrator.inner
    failed = Failure("replica 1 failed: exit (1)", "db")
    inner.settle = lambda name, later: Progress(name, 1, 0, 1, failed=failed)
    inner.evidence = lambda failure: Evidence("node1", "", [f"{failure.handle} says no"])
    with pytest.raises(TaskError, match=r"db: replica 1 failed: .*no replica of the app"):
        world.deploy(world.image())
    assert "on node1; its last lines:\n    db says no" in capfd.readouterr().err
    assert "db says no" in releases.show(world.target, "").text()


def test_who_has_changed_a_service_is_told_with_its_drift(world):
    world.deploy(world.image())
    inner = world.target.orchestrator.inner
    world.by_hand.scale("worker", 3)
    world.by_hand.set_variable("app", "EXTRA", "1")
    found = inner.services()
    found["worker"] = replace(found["worker"], changed="kubectl-edit at 2026-11-27T10:00:00Z")
    inner.services = lambda: found
    lines = running.look(world.target).drift or []
    (scaled,) = (line for line in lines if "worker" in line)
    assert scaled.endswith("-> 3 (set by kubectl-edit at 2026-11-27T10:00:00Z)")
    assert [line for line in lines if "app" in line] == ["+ app.environment.EXTRA"]


def test_a_success_that_cannot_be_recorded_is_a_warning(world, capfd):
    world.deploy(world.image())

    def break_host() -> None:
        world.host.before["run"] = fail

    world.orchestrator.after["progress"] = lambda: world.orchestrator.after.update(
        progress=break_host
    )
    world.deploy(world.image())
    assert "warning: not recorded: release 2 succeeded (no answer)" in capfd.readouterr().err


def test_what_cannot_be_tidied_is_a_warning(world, capfd):
    world.orchestrator.before["tidy"] = fail
    world.deploy(world.image())
    assert "warning: old releases could not be removed: no answer" in capfd.readouterr().err


def test_a_registry_that_refuses_the_tag_wants_a_person(world):
    image = world.image()
    inner = world.target.registry.put

    def refuse(tag, manifest):
        if tag == "prod":
            raise TaskError("read only")
        inner(tag, manifest)

    world.target.registry.put = refuse
    with pytest.raises(TaskError, match="runs, but is not what is released: read only") as caught:
        world.deploy(image)
    assert caught.value.code == ExitCode.PERSON
    assert world.serves() == image.revision


def test_a_dynamic_environment_is_not_released(world):
    world.target.name = "review/x"
    for name in world.target.settings.deploy.secrets:
        world.target.orchestrator.set_secret(name, "a value")
    world.deploy(world.image())
    assert world.target.registry.digest("review/x") == ""


def test_the_undo_of_a_failed_migration_names_the_backup(world):
    world.deploy(world.image())
    bad = world.image(exits=True, migrations=("myapp.9001_one",))
    world.orchestrator.after["rollout"] = lambda: world.orchestrator.before.update(rollout=fail)
    with pytest.raises(TaskError, match="the database before the migration: backup 2") as caught:
        world.deploy(bad)
    assert caught.value.code == ExitCode.PERSON


def test_an_external_database_is_migrated_without_a_backup(world, capfd):
    one, whole = ("myapp.9001_one",), world._render
    world._render = lambda *of: whole(*of).only(["app", "worker", "proxy"])
    world.deploy(world.image(migrations=one, final=one))
    shown = capfd.readouterr().err
    assert "part of this stack - set backup.every" in shown
    assert "9001_one is irreversible - a rollback" in shown
    assert world.records()[0].backup == ""


def test_what_cannot_be_found_out_after_a_failed_migration_is_a_warning(world, capfd):
    bad = world.image(migrations=("myapp.9001_one",), broken="myapp.9001_one")
    jobs = iter([None, None, None, None, fail])

    def count() -> None:
        world.orchestrator.before["run_jobs"] = count
        if action := next(jobs):
            action()

    world.orchestrator.before["run_jobs"] = count
    with pytest.raises(TaskError, match="no replica of the app was touched"):
        world.deploy(bad)
    assert "cannot find out which migrations were applied: no answer" in capfd.readouterr().err
    assert world.records()[0].migrations == ["myapp.9001_one"]


def test_the_dotenv_report_says_where_it_answers_and_what_runs(world):
    from tasks.lib.deploys.deployment import Deployment

    image = world.image()
    with world.target.locked("deploys") as lock:
        made = Deployment.of_image(world.target, world.render(image), image, lock)
    assert made.dotenv().splitlines() == [
        f"DEPLOY_URL={world.target.url}",
        f"DEPLOY_IMAGE={made.stack.image}",
    ]


def test_a_plan_shows_what_a_deploy_would_change(world):
    world.deploy(world.image())
    found = plan.read(world.target, world.render(world.image()), "")
    assert "  ~ services.app.image" in found.text()
    assert found.state == "changes"


def test_a_plan_has_the_files_of_its_stack_if_they_are_wanted(world):
    stack = world.render(world.image())
    assert json.loads(plan.read(world.target, stack, "", "manifests").text()) == stack.content
    require_shown("manifests", plan=True)
    for show, made in (("manifests", False), ("all", True)):
        with pytest.raises(TaskError, match="use --plan --show=manifests") as caught:
            require_shown(show, made)
        assert caught.value.code == ExitCode.REFUSED


def test_old_releases_are_forgotten_with_their_secrets(world):
    for _ in range(5):
        world.target.orchestrator.set_secret("SECRET_KEY", "a value")
        world.deploy(world.image())
    assert [record.number for record in world.records()] == [5, 4, 3]
    assert len(world.target.orchestrator.secrets()["SECRET_KEY"]) == 3


def test_a_dynamic_environment_is_tagged_and_not_released(world):
    world.target.name = "review/x"
    world.orchestrator.inner.stack = world.target.stack
    for name in world.target.settings.deploy.secrets:
        world.target.orchestrator.set_secret(name, "a value")
    image = world.image()
    world.deploy(image)
    world.deploy(world.image())
    world.rollback()
    world.prune()
    known = world.target.registry.tags()
    assert {"deployed-review-x-1", "deployed-review-x-2", "deployed-review-x-3"} <= set(known)
    assert not {"review", "review/x", "review-x"} & set(known)
    assert world.target.registry.digest(image.digest)


def test_a_replica_that_its_engine_could_not_start_is_started_once_more(world, capfd):
    before, image = world.image(), world.image(passing=1)
    world.deploy(before)
    world.deploy(image)
    assert world.serves() == image.revision
    assert "device or resource busy; this may pass: once more" in capfd.readouterr().err
    with pytest.raises(TaskError, match="busy; rolled back: release 2"):
        world.deploy(world.image(passing=2))
    assert world.serves() == image.revision
