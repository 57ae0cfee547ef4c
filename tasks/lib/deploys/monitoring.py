"""The monitoring stack: one for all environments of the same servers, beside their own stacks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

from .. import console, files
from ..docker.compose import Project
from ..environments.connection import Target
from ..errors import ExitCode, TaskError
from ..orchestrators.base import Orchestrator
from ..orchestrators.stack import Stack
from ..project import contract, names
from ..project.places import Environment
from ..project.settings import ROOT
from ..ssh.tunnel import to_port
from . import alert_secrets, alerting, measured, rollout
from .alerting import ALERTMANAGER, Way
from .measured import Measured, Served
from .shared_servers import group, stack_name

FILES = ("compose/monitoring.yml", "compose/monitoring-server.yml")
PROMETHEUS, BLACKBOX, PORT = "prometheus", "blackbox-exporter", 9090
PAGE = "consoles/index.html"
RECEIVERS = "set messages.slack or messages.mail in invoke.yaml, then inv monitor.up"
# Talks to Prometheus from inside its container: none of its ports is published.
DIAL = f"exec nc 127.0.0.1 {PORT}"


def found(target: Target) -> list[Measured]:
    """Return the environments that run, as they are; warn of those of which nothing is measured."""
    running = []
    for name, environment in group(target.settings, target.name).items():
        stack = names.stack_name(target.settings.project.name, name)
        orchestrator = target.orchestrator.beside(stack)
        if contract.APP not in orchestrator.services():
            hint = f"inv deploy --env={name}, then run this again"
            console.warn(f"{name}: nothing runs, so that nothing of it is measured - {hint}")
            continue
        one = _measured(name, environment, orchestrator)
        if contract.APP not in one.services:
            hint = "set monitoring.metrics in invoke.yaml and deploy, then run this again"
            console.warn(f"{name}: its app serves no metrics - {hint}")
        running.append(one)
    return running


def _measured(name: str, environment: Environment, orchestrator: Orchestrator) -> Measured:
    """Return what is measured of an environment: what runs says itself that it serves metrics."""
    stack = orchestrator.running()
    ports = stack.metrics.items()
    serving = {name: Served(orchestrator.address(name), port) for name, port in ports}
    network = next(iter(stack.services[contract.APP].get("networks") or ["default"]))
    return Measured(
        name,
        environment.url,
        stack.content["networks"][network]["name"],
        serving,
        orchestrator.address(contract.PROXY),
        environment.public,
    )


def render(
    target: Target, environments: Sequence[Measured], ways: Sequence[Way], folder: Path
) -> Stack:
    """Return the stack that measures environments, and store the secrets that are new in it.

    Args:
        ways: those that alerts take.
        folder: for the files that it needs.
    """
    first = next(iter(group(target.settings, target.name).values()))
    values = measured.room(len(environments))
    values |= {key: str(value) for key, value in first.values.items()}
    values |= {"STACK": stack_name(target), "METRICS_LISTEN": f"127.0.0.1:{PORT}"}
    project = Project(target.ctx, [ROOT / file for file in FILES], stack_name(target), values)
    config = project.config()
    made: dict[str, Any] = {
        "prometheus": measured.scraped(_base(PROMETHEUS), environments),
        ALERTMANAGER: alerting.notifying(_base(ALERTMANAGER), ways),
        "sites": measured.sites(environments),
        "expected": measured.expected(environments, len(target.environment.hosts)),
    }
    for key, content in made.items():
        (folder / key).write_text(json.dumps(content, indent=1), "utf-8")
        config["configs"][key] = {**config["configs"][key], "file": str(folder / key)}
    secrets = alert_secrets.stored(target.orchestrator, ways)
    config = alert_secrets.with_secrets(attached(config, environments), ways, secrets)
    return target.orchestrator.render(config, "", secrets)


def _base(name: str) -> Any:
    import yaml

    return yaml.safe_load((ROOT / f"compose/monitoring/{name}.yml").read_text("utf-8"))


def attached(config: Mapping[str, Any], environments: Sequence[Measured]) -> dict[str, Any]:
    """Return a configuration whose services that ask environments are on their networks, too.

    What is on a network with the blackbox exporter can let it ask any address on its others: it is
    on those alone whose proxy it has to ask.
    """
    external = {each.name: {"external": True, "name": each.network} for each in environments}
    asked = {PROMETHEUS: [*external], BLACKBOX: [x.name for x in environments if not x.public]}
    services = dict(config["services"])
    for name, networks in asked.items():
        own = services[name].get("networks") or {"default": None}
        services[name] = {**services[name], "networks": {**own, **dict.fromkeys(networks)}}
    return {**config, "services": services, "networks": {**config["networks"], **external}}


def up(target: Target, env: Mapping[str, str] = os.environ) -> list[str]:
    """Set up or renew the monitoring stack; return the names of the environments it measures.

    Raises TaskError, with exit status 2 if alerts go where this run does not know to send them.
    """
    environments = found(target)
    if not environments:
        hint = f"deploy one first: inv deploy --env={target.name}"
        raise TaskError("no environment of these servers runs", hint, ExitCode.REFUSED)
    measures, ways = [each.name for each in environments], alerting.ways(target.settings, env)
    alert_secrets.require_known(target.orchestrator, ways, target.name)
    if target.ctx.config.run.dry:
        return measures
    with files.folder() as folder, target.locked("sets up monitoring") as lock:
        alert_secrets.require_known(target.orchestrator, ways, target.name)
        stack = render(target, environments, ways, folder)
        for line in target.orchestrator.set_up():
            console.say(line)
        rollout.roll(target, stack, target.settings.deploy.soak, lock)
        target.orchestrator.tidy(stack.versions("configs") | stack.versions("secrets"))
    if said := alerting.destinations(_base(ALERTMANAGER), ways):
        console.say(said)
    else:
        console.warn(f"alerts are only on the page, and sent to no one - {RECEIVERS}")
    return measures


def down(target: Target, volumes: bool) -> None:
    """Remove the monitoring stack with its secrets; with volumes what it measured, too.

    Raises TaskError, a line for each server on which that is left.
    """
    left = target.orchestrator.remove(volumes)
    for name in target.orchestrator.secrets():
        target.orchestrator.remove_secret(name)
    if left:
        raise TaskError("\ninv: ".join(left), code=ExitCode.PERSON)


def try_alert(target: Target) -> None:
    """Raise an alert that is over after a minute. Raises TaskError if no one would get it."""
    alert_secrets.try_it(target.orchestrator, target.name)
    if not alert_secrets.now(target.orchestrator) and not alerting.destinations(
        _base(ALERTMANAGER), ()
    ):
        raise TaskError("alerts are only on the page, and sent to no one", RECEIVERS)


def require_removable(target: Target) -> None:
    """Raise TaskError if monitoring is on an environment's network, which thus has to stay."""
    if names.is_dynamic(target.name) or not target.environment.servers:
        return
    if PROMETHEUS in target.orchestrator.beside(stack_name(target)).services():
        hint = f"inv monitor.down --env={target.name} first, and monitor.up for the others after it"
        raise TaskError(f"monitoring measures {target.name}", hint, ExitCode.REFUSED)


@contextmanager
def page(target: Target, port: int) -> Iterator[str]:
    """Give the address of the page at a port of this machine; 0 is for dev.monitoringport.

    Raises TaskError if Prometheus does not run.
    """
    begin = partial(target.orchestrator.begin, PROMETHEUS, DIAL)

    def start(**streams: Any) -> Popen[bytes]:
        if process := begin(**streams):
            return process
        raise TaskError("Prometheus does not run", f"inv monitor.up --env={target.name}")

    if not target.ctx.config.run.dry and target.orchestrator.inside(PROMETHEUS, "true") is None:
        hint = f"inv monitor.up --env={target.name}"
        raise TaskError(f"no Prometheus runs for {target.name}", hint, ExitCode.REFUSED)
    with to_port(start, port or target.settings.dev.monitoringport) as chosen:
        yield f"http://127.0.0.1:{chosen}/{PAGE}"
