"""What the app reports: `monitoring` of invoke.yaml in an environment's stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..environments.connection import Target
from ..errors import ExitCode, TaskError
from ..project import contract
from ..project.settings import Settings

# What a Caddyfile reads that serves metrics.
SERVES = "PROXY_METRICS"


def require_addresses(settings: Settings) -> None:
    """Raise TaskError if something is on that has nowhere to go."""
    known = {*settings.deploy.secrets, *settings.deploy.variables}
    for key, name in contract.REPORTS.items():
        if getattr(settings.monitoring, key) and name not in known:
            hint = f"add {name} to deploy.secrets in invoke.yaml: docs/monitoring.md"
            raise TaskError(f"monitoring.{key} has no address", hint, ExitCode.REFUSED)


def variables(target: Target) -> dict[str, str]:
    """Return the variables of the app for what is on."""
    monitoring, name = target.settings.monitoring, target.name.replace("/", "-")
    found = {"METRICS": str(contract.METRICS)} if monitoring.metrics else {}
    if monitoring.errors:
        found |= {"ERRORS": "1", "SENTRY_ENVIRONMENT": name}
    if monitoring.traces:
        known = (
            f"service.namespace={target.settings.project.name},deployment.environment.name={name}"
        )
        found |= {"TRACES": str(monitoring.traces), "OTEL_RESOURCE_ATTRIBUTES": known}
    return found


def of_proxy(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration whose proxy is asked for metrics only if its Caddyfile serves them."""
    service = config["services"].get(contract.PROXY, {})
    files = [config["configs"][use["source"]] for use in service.get("configs", [])]
    texts = [Path(each["file"]).read_text("utf-8") for each in files if "file" in each]
    if any(SERVES in text for text in texts) or not service.get("environment"):
        return config
    known = service["environment"].items()
    given = {key: each for key, each in known if key not in ("METRICS", SERVES)}
    services = {**config["services"], contract.PROXY: {**service, "environment": given}}
    return {**config, "services": services}


def shipped(config: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return a configuration that sends the logs of proxy and app to monitoring.logs.

    Not the database's: it logs statements with their values. No receiver can keep a container from
    starting, logging or stopping, and Docker keeps the last lines itself, for inv logs.
    """
    scheme, _, where = settings.monitoring.logs.partition("://")
    options = {"mode": "non-blocking", "max-buffer-size": "4m", "tag": "{{.Name}}"}
    options |= {"cache-max-size": "10m", "cache-max-file": "5"}
    if scheme == "syslog":
        driver = "syslog"
        options |= {"syslog-address": f"udp://{where}", "syslog-format": "rfc5424micro"}
    else:
        driver, protocol = "fluentd", {"fluent": "tcp", "fluents": "tls"}[scheme]
        options |= {"fluentd-address": f"{protocol}://{where}", "fluentd-async": "true"}
        options |= {"fluentd-sub-second-precision": "true", "fluentd-buffer-limit": "8192"}
    logging = {"driver": driver, "options": options}
    names = {contract.PROXY, contract.APP, *settings.processes} & config["services"].keys()
    own = {name: {**config["services"][name], "logging": logging} for name in names}
    return {**config, "services": {**config["services"], **own}}
