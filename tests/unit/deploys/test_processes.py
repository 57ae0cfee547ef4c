"""The processes and backing services of invoke.yaml become services of the stack."""

from __future__ import annotations

from typing import Any

import msgspec

from tasks.lib.deploys import processes
from tasks.lib.project.app_settings import Process
from tasks.lib.project.settings import Deploy
from tests.testbed.project import SETTINGS

VALUES = {"STACK": "shop-prod", "POLL_REPLICAS": "3", "HOST": "smtp.example.com"}
BARE = msgspec.structs.replace(SETTINGS.deploy, secrets=["SECRET_KEY"])


def config() -> dict[str, Any]:
    """What `docker compose config` prints of the Compose files, in short."""
    secrets = [{"source": "SECRET_KEY", "target": "/run/secrets/SECRET_KEY", "uid": "10001"}]
    app = {"environment": {"A": "1"}, "deploy": {"replicas": 2}, "secrets": secrets}
    worker = {**app, "command": ["worker"], "deploy": {"replicas": 1}}
    beat = {**app, "command": ["beat"], "deploy": {}}
    return {"services": {"app": app, "worker": worker, "beat": beat, "db": {}, "redis": {}}}


def applied(deploy: Deploy = BARE, **given: Process) -> dict[str, Any]:
    settings = msgspec.structs.replace(SETTINGS, processes=given, deploy=deploy)
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


def test_a_dollar_in_a_command_reaches_the_container():
    made = applied(poll=Process("sh -c 'echo $HOME'"))
    assert made["poll"]["command"] == ["sh", "-c", "echo $$HOME"]


def test_every_process_has_all_secrets_but_those_of_others():
    names = ["SECRET_KEY", "POSTGRES_PASSWORD", "OWNER_PASSWORD", "DATABASE_URL", "API_KEY"]
    deploy = msgspec.structs.replace(BARE, secrets=names)
    made = applied(deploy, mail=Process("worker"))
    for name in ("app", "mail"):
        uses = made[name]["secrets"]
        assert [use["source"] for use in uses] == ["SECRET_KEY", "DATABASE_URL", "API_KEY"]
        assert uses[-1] == {**uses[0], "source": "API_KEY", "target": "/run/secrets/API_KEY"}
    assert "secrets" not in made["db"]


def test_a_variable_has_the_value_of_its_environment_or_that_for_all():
    deploy = msgspec.structs.replace(BARE, variables={"HOST": "localhost", "PORT": 25})
    made = applied(deploy, mail=Process("worker"))
    for name in ("app", "mail"):
        expected = {"A": "1", "HOST": "smtp.example.com", "PORT": "25"}
        assert made[name]["environment"] == expected


def test_one_that_serves_metrics_knows_how_many_of_it_there_are_to_be():
    whole = config()
    for each in whole["services"].values():
        each["environment"] = {"METRICS": "9464"}
    given = {"beat": Process(), "poll": Process("python poll.py")}
    given["mail"] = Process("worker", replicas=2)
    settings = msgspec.structs.replace(SETTINGS, processes=given, deploy=BARE)

    def wanted(**least: int) -> dict[str, str | None]:
        made = processes.applied(whole, settings, VALUES, least)["services"]
        found = {name: each["environment"] for name, each in made.items()}
        # A program of one's own serves none, and nobody is to wait for it.
        assert [name for name, each in found.items() if not each.get("METRICS")] == ["poll"]
        return {name: each.get("METRICS_REPLICAS") for name, each in found.items()}

    others = {"db": None, "redis": None, "poll": None}
    assert wanted() == {"app": "2", "beat": "1", "mail": "2", **others}
    # Where the cluster chooses the number, there may be as few as it may choose.
    assert wanted(app=1) == {**wanted(), "app": "1"}
    assert "METRICS_REPLICAS" not in applied()["app"]["environment"]
