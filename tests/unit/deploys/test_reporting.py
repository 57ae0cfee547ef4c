"""What the app is given for errors, traces and logs, and when a deploy is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tasks.lib.deploys import rendering, reporting
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.project import contract
from tasks.lib.project.settings import Monitoring

DSN, ENDPOINT = contract.REPORTS["errors"], contract.REPORTS["traces"]


def turn_on(world: Any, more: list[str], **monitoring: object) -> None:
    """Turn something on, with more secrets."""
    known = world.target.settings
    deploy = msgspec.structs.replace(known.deploy, secrets=[*known.deploy.secrets, *more])
    made = msgspec.convert(monitoring, Monitoring)
    world.target.settings = msgspec.structs.replace(known, deploy=deploy, monitoring=made)


def test_the_app_is_told_nothing_that_is_off(world):
    assert reporting.variables(world.target) == {}


def test_the_app_is_told_where_it_runs_and_how_much_to_trace(world):
    turn_on(world, [DSN, ENDPOINT], errors=True, traces=0.05)
    world.target.name = "review/one"
    assert reporting.variables(world.target) == {
        "ERRORS": "1",
        # Sentry allows no slash.
        "SENTRY_ENVIRONMENT": "review-one",
        "TRACES": "0.05",
        "OTEL_RESOURCE_ATTRIBUTES": (
            f"service.namespace={world.target.settings.project.name},"
            "deployment.environment.name=review-one"
        ),
    }


@pytest.mark.parametrize(
    ("text", "asked"), [("{\n\t{$PROXY_METRICS}\n}\n", True), (":80 {\n}\n", False)]
)
def test_a_proxy_is_asked_for_metrics_if_its_own_caddyfile_serves_them(tmp_path, text, asked):
    (file := tmp_path / "Caddyfile").write_text(text)
    known = {"SITE_ADDRESS": ":80", "METRICS": "9464", "PROXY_METRICS": "metrics"}
    use = {"source": "own", "target": "/etc/caddy/Caddyfile"}
    config = {
        "services": {"proxy": {"environment": known, "configs": [use]}, "app": {}},
        "configs": {"own": {"file": str(file)}, "other": {"file": "/no/where"}},
    }
    given = reporting.of_proxy(config)["services"]["proxy"]["environment"]
    assert given == (known if asked else {"SITE_ADDRESS": ":80"})
    assert reporting.of_proxy({"services": {"app": {}}}) == {"services": {"app": {}}}


@pytest.mark.parametrize(
    ("on", "name"), [({"errors": True}, DSN), ({"traces": 1}, ENDPOINT)], ids=["errors", "traces"]
)
def test_what_has_nowhere_to_go_is_refused(world, on, name):
    turn_on(world, [], **on)
    why = rf"monitoring\.\w+ has no address - add {name} to deploy.secrets"
    with pytest.raises(TaskError, match=why) as caught:
        rendering.render(world.target, world.image())
    assert caught.value.code == ExitCode.REFUSED
    turn_on(world, [name], **on)
    reporting.require_addresses(world.target.settings)


@pytest.mark.parametrize(
    ("address", "driver", "option", "value"),
    [
        ("syslog://192.0.2.7:514", "syslog", "syslog-address", "udp://192.0.2.7:514"),
        ("fluent://logs.example.com:24224", "fluentd", "fluentd-address", "tcp://"),
        ("fluents://logs.example.com:24224", "fluentd", "fluentd-address", "tls://"),
    ],
)
def test_the_logs_of_proxy_and_app_go_out_and_those_of_the_database_stay(
    world, address, driver, option, value
):
    turn_on(world, [], logs=address)
    before = {"driver": "local"}
    names = ("app", "beat", "db", "proxy", "redis", "worker")
    config = {"services": {name: {"image": "one", "logging": before} for name in names}}
    made = reporting.shipped(config, world.target.settings)["services"]
    assert {name for name in names if made[name]["logging"] == before} == {"db", "redis"}
    logging = made["app"]["logging"]
    assert logging["driver"] == driver and logging["options"][option].startswith(value)
    assert logging["options"]["mode"] == "non-blocking"
    assert driver == "syslog" or logging["options"]["fluentd-async"] == "true"


@pytest.mark.parametrize(
    "address",
    # Docker starts no container while a syslog server by TCP, or a name, cannot be reached.
    [
        *("syslog://logs.example.com:514", "tcp://192.0.2.7:514", "fluent://host", "logs"),
        *(
            "syslog://",
            "syslog://192.0.2.256:514",
            "syslog://192.0.2:514",
            "syslog://192.0.02.7:514",
        ),
        *("syslog://192.0.2.7:65536", "fluents://logs.example.com:0", "fluent://host:99999"),
    ],
)
def test_an_address_that_could_keep_the_app_from_starting_is_none(address):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"logs": address}, Monitoring)
