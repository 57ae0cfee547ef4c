"""The processes and backing services of invoke.yaml become services of the stack."""

from __future__ import annotations

from typing import Any

import msgspec

from tasks.lib.deploys import processes
from tasks.lib.project.app_settings import Process, Services
from tests.testbed.project import SETTINGS

VALUES = {"STACK": "shop-prod", "POLL_REPLICAS": "3"}


def config() -> dict[str, Any]:
    """What `docker compose config` prints of the Compose files, in short."""
    app = {"environment": {"REDIS_URL": "redis://redis", "A": "1"}, "deploy": {"replicas": 2},
           "depends_on": {"db": {}, "redis": {}}}  # fmt: skip
    worker = {**app, "command": ["worker"], "deploy": {"replicas": 1}}
    beat = {**app, "command": ["beat"], "deploy": {}}
    return {"services": {"app": app, "worker": worker, "beat": beat, "db": {}, "redis": {}}}


def applied(broker: str = "redis", **given: Process) -> dict[str, Any]:
    services = Services(broker=broker)  # type: ignore[arg-type]
    settings = msgspec.structs.replace(SETTINGS, processes=given, services=services)
    return dict(processes.applied(config(), settings, VALUES)["services"])


def test_the_processes_that_the_compose_files_have_stay_as_they_are():
    assert applied(worker=Process(), beat=Process()) == config()["services"]


def test_a_process_that_is_not_named_is_left_out():
    assert set(applied(worker=Process())) == {"app", "worker", "db", "redis"}
    assert set(applied()) == {"app", "db", "redis"}


def test_a_second_worker_has_queues_and_replicas_of_its_own():
    made = applied(worker=Process(), mail=Process("worker", ["mail", "slow"], 2))
    assert made["mail"]["command"] == ["worker"]
    assert made["mail"]["environment"]["WORKER_QUEUES"] == "mail,slow"
    assert made["mail"]["deploy"] == {"replicas": 2}
    assert "WORKER_QUEUES" not in made["worker"]["environment"]


def test_any_command_is_a_process_whose_replicas_an_environment_sets():
    made = applied(poll=Process("manage poll --every '10 s'", home=True))
    assert made["poll"]["command"] == ["manage", "poll", "--every", "10 s"]
    home = {"constraints": ["node.labels.shop-prod == home"]}
    assert made["poll"]["deploy"] == {"replicas": 3, "placement": home}


def test_without_a_broker_there_is_no_redis_and_nothing_knows_of_it():
    made = applied("none")
    assert set(made) == {"app", "db"}
    assert made["app"]["environment"] == {"A": "1"}
    assert made["app"]["depends_on"] == {"db": {}}
