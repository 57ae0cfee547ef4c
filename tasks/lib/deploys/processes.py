"""The processes of the app and its backing services: those of invoke.yaml, on the Compose files."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Mapping
from typing import Any

from ..project import contract
from ..project.app_settings import Process
from ..project.settings import Settings

# The processes that compose/server.yml has; others are like the worker.
KNOWN = {contract.WORKER, contract.BEAT}


def applied(
    config: Mapping[str, Any], settings: Settings, values: Mapping[str, str]
) -> dict[str, Any]:
    """Return Compose's configuration with the processes and the backing services of invoke.yaml.

    Args:
        values: the environment's; NAME_REPLICAS among them is how many replicas a process has.
    """
    services = dict(config["services"])
    worker = services[contract.WORKER]
    for name in KNOWN - {*settings.processes}:
        services.pop(name, None)
    for name, process in settings.processes.items():
        services[name] = _service(name, process, services.get(name) or worker, values)
    if settings.services.broker == "none":
        del services[contract.REDIS]
        services = {name: _without_redis(each) for name, each in services.items()}
    return {**config, "services": services}


def _service(
    name: str, process: Process, like: Mapping[str, Any], values: Mapping[str, str]
) -> dict[str, Any]:
    """Return the service of a process."""
    made = copy.deepcopy(dict(like))
    made["command"] = shlex.split(process.command or name)
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


def _without_redis(service: Mapping[str, Any]) -> dict[str, Any]:
    environment = dict(service.get("environment") or {})
    environment.pop("REDIS_URL", None)
    needed = {key: v for key, v in service.get("depends_on", {}).items() if key != contract.REDIS}
    return {**service, "environment": environment, "depends_on": needed}
