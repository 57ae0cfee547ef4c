"""Environments on servers as Prometheus finds them, but at addresses of this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from tasks.lib.deploys import measured
from tests.testbed import prometheus

ENVIRONMENTS, SERVERS = 20, 10
# The replicas of each; those of the app have other addresses after a deploy, and another release.
APP = {"app": 2, "worker": 1, "beat": 1}
EXPORTERS = {"postgres-exporter": 1, "redis-exporter": 1}
# Seconds between two scrapes on servers, and how many times as often these are.
INTERVAL, SPEED = 15, 15
MINUTES = re.compile(r"\[(\d+)m\]")
PROBE = "127.40.0.1"


class Watched:
    """Environments whose targets are addresses of this machine, with one port.

    Args:
        folder: the files of Prometheus.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.environments = [
            measured.Measured(
                f"e{number}",
                f"https://e{number}.example.com",
                f"shop-e{number}_default",
                {name: measured.Served(f"{number}/{name}", port) for name in {**APP, **EXPORTERS}},
                "proxy",
            )
            for number in range(ENVIRONMENTS)
        ]

    def found(self, name: str, deploys: int) -> list[str]:
        """Return what DNS would have for a name after so many deploys of each environment."""
        if name == "node-exporter":
            return [f"127.30.0.{number + 1}" for number in range(SERVERS)]
        number, _, service = name.partition("/")
        place = [*APP, *EXPORTERS].index(service)
        net = 10 + (deploys if service in APP else 0)
        replicas = {**APP, **EXPORTERS}[service]
        return [f"127.{net}.{number}.{place * 10 + each + 1}" for each in range(replicas)]

    def kinds(self) -> dict[str, str]:
        """Return what answers at each address: see replaying."""
        names = [each.address for one in self.environments for each in one.services.values()]
        known = {PROBE: "blackbox-exporter/"}
        for deploys in range(2):
            for name in (*names, "node-exporter"):
                kind = f"{name.rpartition('/')[2]}/release-{deploys}"
                known |= dict.fromkeys(self.found(name, deploys), kind)
        return known

    def settings(self, deploys: int) -> dict[str, Any]:
        """Return Prometheus' configuration; write the files that it names."""
        base = yaml.safe_load((prometheus.FOLDER / "prometheus.yml").read_text())
        made = measured.scraped(base, self.environments)
        for job in made["scrape_configs"]:
            for asked in job.pop("dns_sd_configs", []):
                job.setdefault("static_configs", []).extend(
                    {
                        "targets": [f"{each}:{self.port}" for each in self.found(name, deploys)],
                        "labels": {"__meta_dns_name": name},
                    }
                    for name in asked["names"]
                )
            if job["job_name"] == "prometheus":
                job["static_configs"] = [{"targets": ["localhost:9090"]}]
            if job["job_name"] == "site":
                job["file_sd_configs"] = [{"files": [str(self.folder / "sites.yml")]}]
                job["relabel_configs"][-1]["replacement"] = f"{PROBE}:{self.port}"
        rules = MINUTES.sub(
            lambda found: f"[{int(found[1]) * 60 // SPEED}s]",
            (prometheus.FOLDER / "rules.yml").read_text(),
        )
        (self.folder / "rules.yml").write_text(rules)
        expected = measured.expected(self.environments, SERVERS)
        (self.folder / "expected.yml").write_text(json.dumps(expected))
        (self.folder / "sites.yml").write_text(json.dumps(measured.sites(self.environments)))
        pace = f"{INTERVAL * 1000 // SPEED}ms"
        every = ("scrape_interval", "scrape_timeout", "evaluation_interval")
        files = [str(self.folder / name) for name in ("rules.yml", "expected.yml")]
        made = {key: each for key, each in made.items() if key != "alerting"}
        return {**made, "global": dict.fromkeys(every, pace), "rule_files": files}
