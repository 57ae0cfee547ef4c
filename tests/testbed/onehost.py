"""A site on one Docker host without Swarm."""

from __future__ import annotations

import json
import shlex
from typing import Any

from tests.testbed.replicas import Replica
from tests.testbed.sites import Site


class OneHost(Site):
    """A site on one server, of which docker itself says what is there."""

    column = 4

    def box(self, service: str) -> str:
        """Docker's filter for the containers of a service."""
        return f"-f label=deploy.stack={self.stack} -f label=deploy.service={service}"

    def tasks(self, *services: str) -> list[str]:
        """The IDs of the containers of services that run."""
        scripts = (f"docker ps -q {self.box(service)}" for service in services)
        return sorted(self.on("node1", "; ".join(scripts)).split())

    def wipe(self) -> None:
        """Leave nothing of the environment on the server."""
        mine = f"-f label=deploy.stack={self.stack}"
        removals = (
            f"docker {listing} {mine} | xargs -r docker {removal}"
            for listing, removal in (
                ("ps -aq", "rm -f"),
                ("volume ls -q", "volume rm"),
                ("network ls -q", "network rm"),
            )
        )
        self.on("node1", "; ".join((*removals, f"rm -rf deploy/myapp/{self.env}")))

    def jobs(self) -> str:
        """The one-off jobs that are on the server."""
        mine = f"label=deploy.stack={self.stack}"
        return self.on("node1", f"docker ps -aq --filter {mine} --filter label=deploy.job")

    def inspected(self, *filters: str) -> list[dict[str, Any]]:
        """What docker says of the containers of the site."""
        mine = f"label=deploy.stack={self.stack}"
        known = shlex.join(f"--filter={each}" for each in (mine, *filters))
        script = f"docker ps -aq --no-trunc {known} | xargs -r docker inspect"
        return json.loads(self.on("node1", script) or "[]")

    def replicas(self, service: str, *filters: str) -> list[Replica]:
        """The containers of a service, those that have ended too."""
        known = (f"label=deploy.service={service}", *filters)
        return [Replica(each) for each in self.inspected(*known)]

    def ids(self) -> set[str]:
        """The IDs of all containers."""
        return {each["Id"] for each in self.inspected()}

    @property
    def lock(self) -> str:
        """The lock's text; empty when nobody has it."""
        form = '{{.Label "deploy.lock.text"}}'
        chosen = f"label=deploy.lock={self.stack}"
        return self.on("node1", f"docker volume ls -f {chosen} --format '{form}'")
