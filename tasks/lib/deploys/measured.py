"""What Prometheus measures on servers: its configuration, for the environments that run. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]
# The jobs of compose/monitoring/prometheus.yml that ask services of an environment: exporters have
# one each, all others are the app's.
APP, EXPORTERS = "app", {"postgres-exporter": "postgres", "redis-exporter": "redis"}


@dataclass(frozen=True)
class Served:
    """The metrics of a service: the name that DNS has for all its replicas, and their port."""

    address: str
    port: int


@dataclass(frozen=True)
class Measured:
    """An environment that is measured.

    Args:
        network: the one on which its services are asked.
        services: those that serve metrics.
        proxy: the name that DNS has for its proxy.
        public: whether its address is asked, or its proxy.
    """

    name: str
    url: str
    network: str
    services: Mapping[str, Served]
    proxy: str
    public: bool = True

    def of(self, job: str) -> dict[str, Served]:
        """Return the services that a job of Prometheus asks."""
        known = sorted(self.services.items())
        return {name: each for name, each in known if EXPORTERS.get(name, APP) == job}


def scraped(base: Mapping[str, Any], environments: Sequence[Measured]) -> Json:
    """Return Prometheus' configuration, from the one for an app on the same network.

    The jobs that ask services of an environment are there once for each.
    """
    jobs: list[Json] = []
    for job in base["scrape_configs"]:
        if job["job_name"] in (APP, *EXPORTERS.values()):
            found = ((each.name, each.of(job["job_name"])) for each in environments)
            jobs += [_job(job, name, services) for name, services in found if services]
        else:
            jobs.append(job)
    return {**base, "scrape_configs": jobs}


def _job(job: Mapping[str, Any], environment: str, services: Mapping[str, Served]) -> Json:
    made = {key: copy.deepcopy(each) for key, each in job.items() if key != "static_configs"}
    asked = [
        {"names": [each.address], "type": "A", "port": each.port, "refresh_interval": "10s"}
        for each in services.values()
    ]
    labels = [
        {
            "source_labels": ["__meta_dns_name"], "regex": re.escape(each.address),
            "target_label": "service", "replacement": name,
        }
        for name, each in services.items()
    ]  # fmt: skip
    given = {"job": job["job_name"], "environment": environment}
    labels += [{"target_label": key, "replacement": value} for key, value in given.items()]
    made |= {"job_name": f"{job['job_name']}-{environment}", "dns_sd_configs": asked}
    return {**made, "relabel_configs": labels}


def sites(environments: Iterable[Measured]) -> list[Json]:
    """Return the addresses at which the sites are asked, as a file of Prometheus' targets."""
    found = []
    for each in environments:
        host = urlsplit(each.url).hostname or ""
        target = each.url if each.public else f"http://{each.proxy}/"
        labels = {"environment": each.name, **({} if each.public else {"host": host})}
        found.append({"targets": [target], "labels": labels})
    return found


def expected(environments: Iterable[Measured], servers: int) -> Json:
    """Return rules that record what there has to be: what is gone altogether measures nothing."""
    rules: list[Json] = [{"record": "expected_servers", "expr": f"vector({servers})"}]
    rules += [
        {
            "record": "expected_service", "expr": "vector(1)",
            "labels": {"environment": each.name, "service": name},
        }
        for each in environments
        for name in sorted(each.services)
    ]  # fmt: skip
    return {"groups": [{"name": "expected", "rules": rules}]}


def room(environments: int) -> dict[str, str]:
    """Return what memory and disk Prometheus may take for so many environments.

    It is several times what bench/run monitoring measures: other apps have more views.
    """
    memory, disk = max(512, 64 * environments), max(2048, 1024 * environments)
    return {"METRICS_MEMORY": f"{memory}M", "METRICS_SIZE": f"{disk}MB"}
