"""What people do with an environment that runs: set up, look, read logs, run commands, remove."""

from __future__ import annotations

import io
import sys
from functools import partial

import msgspec
import pytest

from tasks.lib.environments import (
    bootstrap,
    dynamic,
    healthcheck,
    logs,
    one_off,
    releases,
    secret_values,
    status,
    teardown,
)
from tasks.lib.environments.logs import LogOptions
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.project.app_settings import Probes
from tests.orchestrators.world import Killed

LAST = LogOptions(False, 10, "")


def test_set_up_changes_nothing_the_second_time(world):
    assert list(bootstrap.set_up(world.target)) == [
        "memory: a new cluster",
        "memory: folder deploy/prod",
    ]
    assert list(bootstrap.set_up(world.target)) == []


def test_a_dynamic_environment_gets_its_secrets(world, capfd):
    world.target.orchestrator.remove_secret("SECRET_KEY")
    bootstrap.make_ready(world.target)
    assert "memory: a new cluster" in capfd.readouterr().err
    assert world.target.orchestrator.secrets().keys() == {*world.target.settings.deploy.secrets}


def test_secrets_that_only_their_operators_know_are_not_made_up(world):
    names = ["SECRET_KEY", "DATABASE_URL", "OWNER_URL", "NEW"]
    deploy = msgspec.structs.replace(world.target.settings.deploy, secrets=names)
    world.target.settings = msgspec.structs.replace(world.target.settings, deploy=deploy)
    assert list(bootstrap.make_up_secrets(world.target)) == ["myapp-prod_NEW_v1"]
    assert list(bootstrap.make_up_secrets(world.target)) == []


def test_a_status_shows_services_nodes_lock_and_history(world):
    image = world.image()
    world.deploy(image)
    found = status.read(world.target)
    text = found.text()
    assert found.problems == []
    for part in ("app", "2/2 healthy", "memory", "lock: free", "succeeded", image.revision[:12]):
        assert part in text


def test_a_status_names_what_is_wrong(world):
    world.deploy(world.image())
    world.target.orchestrator.inner.cluster.ready.clear()
    wrong = status.read(world.target).problems
    assert "app: 0/2 healthy, 1 starting" in wrong
    assert any("answers 503" in line for line in wrong)


def test_a_status_says_that_monitoring_does_not_run_where_it_was_set_up(world):
    world.deploy(world.image())
    assert status.read(world.target).problems == []
    beside = world.target.orchestrator.inner.beside("myapp-monitoring")
    for name in ("alertmanager", "prometheus"):
        beside.running_now[name] = {"image": "p", "deploy": {}}
    assert status.read(world.target).problems == []
    beside.running_now["prometheus"]["deploy"]["replicas"] = 0
    what = "monitoring does not run (prometheus): alerts are missing"
    assert status.read(world.target).problems == [f"{what} - inv monitor.up --env=prod"]
    world.target.name = "review/a"
    assert not [each for each in status.read(world.target).problems if "monitoring" in each]


def test_a_status_of_nothing(world):
    text = status.read(world.target).text()
    assert "no services" in text and "no release yet" in text


def test_a_deploy_that_was_killed_is_shown_as_cut_off(world):
    world.orchestrator.before["rollout"] = world.kill
    with pytest.raises(Killed):
        world.deploy(world.image())
    world.restart()
    history = partial(releases.history, "prod", world.records(), 30)
    assert "cut off" in history(locked=False).text()
    assert "running" in history(locked=True).text()


def test_logs_are_those_of_the_services_with_the_apps_image(world, capfd):
    world.deploy(world.image())
    capfd.readouterr()
    logs.show(world.target, "", LAST)
    shown = capfd.readouterr().out
    assert "worker | the last 10 lines" in shown and "proxy" not in shown


def logged(world, capfd, **only: str) -> list[str]:
    """The lines of a log that are chosen."""
    capfd.readouterr()
    logs.show(world.target, "", LogOptions(False, 0, ""), logs.Filter(**only))
    return capfd.readouterr().out.splitlines()


def test_the_lines_of_a_request_are_shown_of_all_services_and_the_proxy(world, capfd):
    world.deploy(world.image())
    world.deploy(world.image())
    lines = logged(world, capfd, request="id-1")
    assert {line.partition(" | ")[0] for line in lines} >= {"app", "worker"}
    assert all('"id-1"' in line for line in lines)


def test_the_lines_of_a_release_are_those_of_its_version(world, capfd):
    first, second = world.image(), world.image()
    world.deploy(first)
    world.deploy(second)
    for release, image in (("1", first), ("2", second), (second.revision, second)):
        lines = logged(world, capfd, release=release)
        assert lines and all(image.revision in line for line in lines)


def test_lines_are_chosen_by_a_pattern(world, capfd):
    world.deploy(world.image())
    assert logged(world, capfd, pattern="^app .*all|^app .* 0 lines") == ["app | the last 0 lines"]


def test_that_there_is_no_line_is_said_and_why(world, capfd):
    world.deploy(world.image())
    capfd.readouterr()
    logs.show(world.target, "", LAST, logs.Filter(pattern="nowhere"))
    assert capfd.readouterr() == ("", "no such line\n")
    world.by_hand.scale("worker", 0)
    logs.show(world.target, "worker", LAST, logs.Filter(pattern="nowhere"))
    assert capfd.readouterr().err == "no such line, as no replica of worker runs\n"


def test_lines_of_what_is_not_known_are_refused(world, capfd):
    world.deploy(world.image())
    with pytest.raises(TaskError, match="no release 9 - inv history --env=prod") as caught:
        logged(world, capfd, release="9")
    assert caught.value.code == ExitCode.REFUSED
    with pytest.raises(TaskError, match=r"--grep: '\(' is no regular expression") as caught:
        logged(world, capfd, pattern="(")
    assert caught.value.code == ExitCode.REFUSED


def test_logs_of_an_unknown_service_are_refused(world):
    world.deploy(world.image())
    with pytest.raises(TaskError, match="prod has no service 'ap' - known: app, beat") as caught:
        logs.show(world.target, "ap", LAST)
    assert caught.value.code == ExitCode.REFUSED


def test_logs_of_nothing_are_refused(world):
    with pytest.raises(TaskError, match="nothing runs yet - known: none"):
        logs.show(world.target, "", LAST)


def test_logs_need_no_history(world, capfd):
    world.deploy(world.image())
    world.host.run('rm -r "$1/releases"', world.target.path)
    capfd.readouterr()
    logs.show(world.target, "", LAST)
    assert "worker | the last" in capfd.readouterr().out


def test_a_command_runs_on_the_image_that_runs_and_holds_the_lock(world):
    world.deploy(world.image())
    holders = []
    world.orchestrator.before["run_jobs"] = lambda: holders.append(world.target.holder())
    one_off.manage(world.target, ["migrate"])
    assert "runs manage.py migrate" in str(holders[0])


def test_a_command_before_the_first_deploy_is_refused(world):
    with pytest.raises(TaskError, match="nothing runs yet - inv deploy --env=prod"):
        one_off.manage(world.target, ["migrate"])


def test_what_is_removed_is_gone_but_for_its_secrets(world):
    world.deploy(world.image())
    teardown.remove(world.target, volumes=False)
    assert world.serves() == "nothing"
    assert world.records() == []
    assert world.target.orchestrator.secrets()
    teardown.remove(world.target, volumes=True)
    assert world.target.orchestrator.secrets() == {}


def test_data_that_is_left_on_a_server_wants_a_person(world):
    world.deploy(world.image())
    world.target.orchestrator.inner.cluster.left = ["volumes stay on n3"]
    with pytest.raises(TaskError, match="volumes stay on n3") as caught:
        teardown.remove(world.target, volumes=True)
    assert caught.value.code == ExitCode.PERSON
    assert world.records() == []


def test_ports_are_chosen_among_those_that_no_other_stack_has(world):
    world.deploy(world.image())
    review = world.target.settings.environment("review/x")
    made = dynamic.assign_ports(review, world.target.orchestrator, "myapp-review-x")
    assert made.values["HTTP_PORT"] in review.values["HTTP_PORT"]
    assert made.url == f"http://review.example.com:{made.values['HTTP_PORT']}"
    prod = world.target.environment
    assert dynamic.assign_ports(prod, world.target.orchestrator, "myapp-prod") is prod


def test_an_answer_without_a_version_is_told(world):
    site = world.target.url
    world.deploy(world.image())
    answer = healthcheck.ask(site, "/", "abc")
    assert answer.failure == f"{site}/ answers 200, but without a version" and answer.reached
    answer = healthcheck.ask("http://127.0.0.1:1")
    assert "does not answer" in answer.failure
    assert answer.version == "" and not answer.reached


def test_without_probes_the_page_stands_in_and_no_version_is_expected(world):
    app = msgspec.structs.replace(world.target.settings.app, probes=Probes(page="/"))
    world.target.settings = msgspec.structs.replace(world.target.settings, app=app)
    world.deploy(world.image())
    found = status.read(world.target)
    text, problems = found.text(), found.problems
    assert f"url: {world.target.url} answers\n" in text
    assert problems == []


def test_a_secret_is_one_of_the_projects(world):
    secret_values.known(world.target.settings, "SECRET_KEY")
    for name in ("", "OTHER"):
        with pytest.raises(TaskError, match="known: SECRET_KEY"):
            secret_values.known(world.target.settings, name)


def test_a_secrets_value_is_its_variable_or_what_is_piped_in(monkeypatch):
    monkeypatch.setenv("TOKEN", "from the variable")
    assert secret_values.read("TOKEN") == "from the variable"
    monkeypatch.delenv("TOKEN")
    monkeypatch.setattr(sys, "stdin", io.StringIO("piped in\n"))
    assert secret_values.read("TOKEN") == "piped in"
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(TaskError, match="TOKEN is empty"):
        secret_values.read("TOKEN")
    assert secret_values.random() != secret_values.random()


def test_a_truncated_record_is_marked(world):
    world.deploy(world.image())
    world.deploy(world.image())
    world.damage(2)
    damaged, good = world.records()
    assert (damaged.number, damaged.state, good.state) == (2, "damaged", "succeeded")
    assert damaged.why.endswith("deploy/prod/releases/2/release.json is damaged")
