"""The processes of the app, as invoke.yaml has them, on the Compose files."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..project import contract
from ..project.app_settings import Process
from ..project.settings import Deploy, Settings

# The processes that compose/server.yml has; others are like the worker.
KNOWN = {contract.WORKER, contract.BEAT}
# The roles of the image that serve metrics: docker/entrypoint.
SERVERS = ("web", contract.WORKER, contract.BEAT)
NONE: Mapping[str, int] = MappingProxyType({})


def applied(
    config: Mapping[str, Any],
    settings: Settings,
    values: Mapping[str, str],
    least: Mapping[str, int] = NONE,
) -> dict[str, Any]:
    """Return Compose's configuration with the processes of invoke.yaml, and what is given to them.

    Args:
        values: the environment's; NAME_REPLICAS among them is how many replicas a process has.
        least: how many replicas those processes have at least whose number the cluster chooses.
    """
    services = dict(config["services"])
    worker = services[contract.WORKER]
    for name in KNOWN - {*settings.processes}:
        services.pop(name, None)
    for name, process in settings.processes.items():
        services[name] = _service(name, process, services.get(name) or worker, values)
    for name in (contract.APP, *settings.processes):
        services[name] = _measured(_given(services[name], settings.deploy, values), least.get(name))
    own = {name: {"external": True} for name in _secrets(settings.deploy)}
    return {**config, "services": services, "secrets": own | config.get("secrets", {})}


def _secrets(deploy: Deploy) -> list[str]:
    """Return the secrets that every process of the app has."""
    return [name for name in deploy.secrets if name not in contract.OTHERS]


def _given(service: Mapping[str, Any], deploy: Deploy, values: Mapping[str, str]) -> dict[str, Any]:
    """Return a service of the app with all of the app's secrets, and the project's variables."""
    uses = {use["source"]: use for use in service["secrets"]}
    like = service["secrets"][0]
    for name in _secrets(deploy):
        uses.setdefault(name, {**like, "source": name, "target": f"/run/secrets/{name}"})
    variables = {key: values.get(key, str(value)) for key, value in deploy.variables.items()}
    environment = {**service["environment"], **variables}
    return {**service, "secrets": [*uses.values()], "environment": environment}


def _measured(service: Mapping[str, Any], least: int | None) -> dict[str, Any]:
    """Return a service of the app that knows how many there are to be, if it serves metrics.

    What is no server of the image serves none, and no alert may wait for it.
    """
    environment = dict(service["environment"])
    if environment.get("METRICS"):
        wanted = least or (service.get("deploy") or {}).get("replicas", 1)
        environment["METRICS_REPLICAS"] = str(wanted)
        if (service.get("command") or [*SERVERS])[0] not in SERVERS:
            del environment["METRICS"], environment["METRICS_REPLICAS"]
    return {**service, "environment": environment}


def _service(
    name: str, process: Process, like: Mapping[str, Any], values: Mapping[str, str]
) -> dict[str, Any]:
    """Return the service of a process."""
    made = copy.deepcopy(dict(like))
    made["command"] = shlex.split((process.command or name).replace("$", "$$"))
    if process.queues:
        made["environment"] = made["environment"] | {"WORKER_QUEUES": ",".join(process.queues)}
    deploy = made.setdefault("deploy", {})
    if name not in KNOWN:
        count = values.get(f"{name.upper().replace('-', '_')}_REPLICAS", process.replicas)
        deploy["replicas"] = int(count)
    if process.home:
        home = f"node.labels.{values['STACK']} == {contract.HOME}"
        deploy["placement"] = {"constraints": [home]}
    return made
