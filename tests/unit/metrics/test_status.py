"""What `inv status` and a deploy tell a real Prometheus: drift, the lock, and when they looked."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import grafana
from tasks.lib.deploys import monitoring, shared_servers, status_metrics
from tasks.lib.environments import status
from tasks.lib.errors import ExitCode, TaskError
from tests.orchestrators.world import Killed, World
from tests.testbed import prometheus
from tests.testbed.commands import ROOT, until
from tests.testbed.prometheus import Prometheus

FILE = Path("status/prod.txt")
# What is written after a deploy that went well.
WELL = {"app_lock_seconds": "0", "app_drift": "0", "app_deploy_failed": "0"}
Measuring = Callable[..., AbstractContextManager[Prometheus]]


def run_prometheus(world: World) -> None:
    """Let one run beside the environment; what is run inside of it is run in this folder."""
    stack = shared_servers.stack_name(world.target)
    beside = world.target.orchestrator.beside(stack)
    beside.running_now[monitoring.PROMETHEUS] = {"image": "p", "deploy": {}}


@pytest.fixture
def beside(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Prometheus beside the environment, as its container has it."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    run_prometheus(world)
    return tmp_path


@pytest.fixture
def measuring(beside: Path) -> Measuring:
    """Runs that Prometheus; its arguments are pairs of what is replaced in the rules."""

    @contextmanager
    def start(*rules: tuple[str, str]) -> Iterator[Prometheus]:
        prometheus.required()
        with prometheus.measuring(beside, environment="prod", rules=rules) as one:
            yield one

    return start


def look(world: World, notified: bool = False) -> None:
    """What `inv status` does."""
    found = status.read(world.target)
    status_metrics.write(world.target, found, notified)


def seen() -> dict[str, str]:
    """What was written, without the time."""
    pairs = dict(line.split(" ") for line in FILE.read_text().splitlines())
    assert abs(int(pairs.pop("app_status_time_seconds")) - time.time()) < 60
    if "app_deploy_time_seconds" in pairs:
        assert abs(int(pairs.pop("app_deploy_time_seconds")) - time.time()) < 60
    return pairs


@contextmanager
def locked(world: World, **age: float) -> Iterator[None]:
    """Somebody has held the lock for some time, and is alive."""
    since = (datetime.now(UTC) - timedelta(**age)).isoformat(timespec="seconds")
    note = json.dumps({"by": "ann", "doing": "restores", "since": since, "token": "x"})
    assert world.target.orchestrator.take_lease(None, note)
    yield
    world.target.unlock()


def test_drift_is_told_until_a_deploy_repairs_it(world, measuring):
    image = world.image()
    world.deploy(image)
    with measuring() as watched:
        until(lambda: watched.ask('app_drift{environment="prod"} == 0'))
        world.by_hand.set_variable("worker", "TOKEN", "hunter2")
        world.by_hand.scale("app", 1)
        look(world)
        until(lambda: watched.firing() == {"Drift"})
        assert [each["value"][1] for each in watched.ask("app_drift")] == ["2"]
        assert "<strong>Drift</strong> prod" in watched.page()
        assert "hunter2" not in FILE.read_text()
        world.deploy(image)
        until(lambda: not watched.firing())


def test_a_deploy_that_was_undone_is_told_until_one_goes_well(world, measuring):
    world.deploy(world.image())
    with measuring() as watched:
        until(lambda: watched.ask('app_deploy_failed{environment="prod"} == 0'))
        with pytest.raises(TaskError, match="rolled back: release 1"):
            world.deploy(world.image(exits=True))
        until(lambda: watched.firing() == {"DeployFailed"})
        look(world)
        assert seen() == WELL | {"app_deploy_failed": "1"}
        assert "<strong>DeployFailed</strong> prod" in watched.page()
        world.deploy(world.image())
        until(lambda: not watched.firing())


def test_grafana_marks_each_deploy_also_one_of_the_same_commit(world, measuring):
    image = world.image()

    def deploy() -> None:
        """It is counted in seconds."""
        before = time.time()
        until(lambda: time.time() > before + 1)
        world.deploy(image)

    deploy()
    with measuring() as watched:
        until(lambda: watched.ask("app_deploy_time_seconds"))
        assert watched.ask(grafana.DEPLOYED) == []
        world.by_hand.scale("app", 1)
        deploy()
        assert world.records()[0].number == 2
        (mark,) = until(lambda: watched.ask(grafana.DEPLOYED))
        assert mark["metric"] == {"environment": "prod"}
        assert mark["value"][1] == "1"


def test_a_deploy_that_was_killed_is_told_by_the_next_look(world, measuring):
    world.deploy(world.image())
    with measuring() as watched:
        world.orchestrator.before["rollout"] = world.kill
        with pytest.raises(Killed):
            world.deploy(world.image())
        # As far as was known then, it still runs.
        assert seen() == WELL
        world.restart()
        look(world)
        until(lambda: watched.firing() == {"DeployFailed"})
        world.rollback(to="1")
        until(lambda: not watched.firing())


def fails(world: World, **image: Any) -> None:
    """A deploy of such an image fails."""
    with pytest.raises(TaskError):
        world.deploy(world.image(**image))
    assert seen()["app_deploy_failed"] == "1"


@pytest.mark.parametrize("why", [{"check": "no licence"}, {"exits": True}, {"page": 500}])
def test_a_failure_counts_until_a_deploy_finds_that_what_runs_is_what_is_wanted(world, beside, why):
    image = world.image()
    world.deploy(image)
    ended = world.records()[0]
    fails(world, **why)
    look(world)
    assert seen()["app_deploy_failed"] == "1"
    world.deploy(image)
    assert seen() == WELL
    assert world.records()[1] == ended
    # It stays closed, until another one fails.
    look(world)
    assert seen() == WELL
    fails(world, **why)


def test_a_deploy_that_was_refused_has_not_failed(world, beside):
    world.deploy(world.image())
    with pytest.raises(TaskError) as caught:
        world.deploy(world.image(tested=False))
    assert caught.value.code == ExitCode.REFUSED
    look(world)
    assert seen() == WELL


def test_the_last_deploy_ended_when_its_record_says(world, beside):
    world.deploy(world.image())
    record = replace(world.records()[0], began="2026-01-01T00:00:00+00:00", seconds=90)
    world.target.history.write(record)
    look(world)
    assert "app_deploy_time_seconds 1767225690\n" in FILE.read_text()


def test_a_lock_that_is_held_for_too_long_is_told_until_it_is_free(world, measuring):
    world.deploy(world.image())
    with measuring() as watched:
        with locked(world, minutes=50):
            look(world)
            until(lambda: watched.ask("app_lock_seconds > 2999"))
        with locked(world, minutes=70):
            assert watched.firing() == set()
            look(world)
            until(lambda: watched.firing() == {"LockOld"})
        look(world)
        until(lambda: not watched.firing())


def test_a_scheduled_look_that_comes_no_more_is_told(world, measuring):
    world.deploy(world.image())
    with measuring(("> 2 * 86400", "> 4")) as watched:
        until(lambda: watched.ask("time() - app_status_time_seconds > 6"))
        assert watched.firing() == set()
        look(world, notified=True)
        until(lambda: watched.ask("app_status_notify_time_seconds"))
        # One by hand is none that will come again.
        look(world)
        until(lambda: watched.firing() == {"StatusOld"})
        look(world, notified=True)
        until(lambda: not watched.firing())


def test_while_the_lock_is_held_drift_stays_what_it_was(world, beside):
    world.deploy(world.image())
    assert seen() == WELL
    with locked(world, seconds=90):
        world.by_hand.scale("app", 1)
        look(world, notified=True)
    held = seen()
    assert 90 <= int(held.pop("app_lock_seconds")) < 120
    assert int(held.pop("app_status_notify_time_seconds")) > 0
    assert held == {"app_drift": "0", "app_deploy_failed": "0"}
    look(world)
    assert {*seen()} == {*WELL, "app_status_notify_time_seconds"}
    assert seen()["app_drift"] == "1"
    assert [*FILE.parent.iterdir()] == [FILE]


def test_a_deploy_with_nothing_to_do_and_a_rollback_say_that_there_is_no_drift(world, beside):
    image = world.image()
    world.deploy(image)
    world.deploy(world.image())
    for end in (world.rollback, lambda: world.deploy(image)):
        FILE.unlink()
        end()
        assert seen() == WELL


def test_nothing_is_written_without_a_prometheus_or_in_a_dry_run(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    world.deploy(world.image())
    look(world)
    assert not FILE.parent.exists()
    run_prometheus(world)
    world.target.ctx.config.run.dry = True
    look(world)
    assert not FILE.parent.exists()
    world.target.ctx.config.run.dry = False
    look(world)
    assert FILE.exists()


def test_nothing_is_written_of_a_dynamic_environment(world, beside):
    world.deploy(world.image())
    FILE.unlink()
    world.target.name = "review/a"
    look(world)
    assert [*FILE.parent.iterdir()] == []


def test_prometheus_alone_has_the_file_in_its_volume():
    services = yaml.safe_load((ROOT / "compose/monitoring.yml").read_text())["services"]
    folder = services["prometheus"]["working_dir"]
    assert f"--web.user-assets={folder}/{FILE.parent}" in services["prometheus"]["command"]
    having = [
        key for key, each in services.items() if f"prometheus:{folder}" in each.get("volumes", [])
    ]
    assert having == ["prometheus"]
    assert "/prometheus" not in (ROOT / "compose/monitoring-server.yml").read_text()


def test_what_cannot_be_written_is_a_warning(world, beside, capfd):
    FILE.parent.touch()
    world.deploy(world.image())
    shown = capfd.readouterr().err
    assert "monitoring does not learn what was seen: mkdir: cannot create directory" in shown
    assert "release 1 runs" in shown


def test_a_prometheus_that_hangs_is_not_waited_for(world, beside, capfd):
    FILE.parent.mkdir()
    os.mkfifo(FILE)
    began = time.monotonic()
    status_metrics.write(world.target, status.read(world.target), False, limit=0.5)
    assert time.monotonic() - began < 5
    assert "its container did not answer within 0.5 s" in capfd.readouterr().err
    # What still reads ends.
    os.close(os.open(FILE, os.O_WRONLY | os.O_NONBLOCK))
