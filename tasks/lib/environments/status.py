"""The status of an environment: services, nodes, lock, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from ..console import as_typed, table
from ..orchestrators import status
from ..registry.reference import short
from ..reports import Report
from . import disks, healthcheck, kept, records, releases, running, storage
from .connection import Target
from .disks import Server
from .healthcheck import Answer
from .kept import Spare
from .lock import Holder
from .records import DAMAGED, RUNNING
from .releases import Release
from .running import Running
from .storage import BackupState


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service as it runs.

    Args:
        replicas: in words.
        ready: all its replicas are new and healthy, and no other one is left.
        release: the number of the release that it is labelled with; empty without a label.
    """

    name: str
    image: str
    digest: str
    release: str
    replicas: str
    wanted: int
    healthy: int
    ready: bool
    nodes: list[str]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What the site answers.

    Args:
        failure: what is wrong with the answer; empty when nothing is.
        unverified_since: the release since which no deploy has asked it from outside; 0 for none.
    """

    url: str
    failure: str
    version: str
    reached: bool
    unverified_since: int

    def text(self, environment: str) -> str:
        """Return it in words, with what verifies an environment's site from outside."""
        runs = f", version {self.version[:12]}" if self.version else ""
        since = self.unverified_since if self.failure else 0
        hint = f"inv deploy --env={environment} verifies it, where it can be reached"
        more = f"\n  not verified from outside since release {since} - {hint}" if since else ""
        return f"{self.failure or f'{self.url} answers{runs}'}{more}"


class Status(Report, frozen=True, kw_only=True, tag="status"):
    """An environment's status.

    Args:
        lock: who holds it; null if it is free.
        spare: volumes with a database that does not run.
        drift: what was changed by hand, a line each; null if that is unknown before a deploy.
        releases: the newest three.
    """

    environment: str
    services: list[Service]
    nodes: list[status.Node]
    servers: list[Server]
    site: Site
    lock: Holder | None
    backups: BackupState
    spare: list[Spare]
    drift: list[str] | None
    releases: list[Release]

    def text(self) -> str:
        """Return tables of what runs where, and what is known of it."""
        heads = ("service", "replicas", "release", "image", "nodes")
        rows = [
            (
                each.name,
                each.replicas,
                each.release or "-",
                short(each.digest) if each.digest else each.image,
                ", ".join(each.nodes),
            )
            for each in self.services
        ]
        machines = [(node.name, node.state, node.role, node.engine) for node in self.nodes]
        backups = f"backups: {self.backups.text(self.environment)}"
        parts = [
            table(rows, heads) if rows else "no services",
            table(machines, ("node", "state", "role", "engine")),
            disks.shown(self.servers),
            f"url: {self.site.text(self.environment)}",
            f"lock: {self.lock or 'free'}",
            "\n  ".join([backups, *(each.text() for each in self.spare)]),
            self._drift(),
            releases.shown(self.releases),
        ]
        return as_typed("\n\n".join(filter(None, parts)))

    def _drift(self) -> str:
        if self.drift is None:
            return "drift: not known before the next deploy"
        return "\n  ".join([f"drift: {'none' if not self.drift else ''}".rstrip(), *self.drift])


def read(target: Target) -> Status:
    """Return an environment's status, with all that is wrong with it."""
    with ThreadPoolExecutor() as pool:
        servers = pool.submit(disks.servers, target)
        volumes = pool.submit(target.orchestrator.volumes)
        monitoring = pool.submit(running.monitoring_problems, target)
        now, nodes = running.look(target), target.orchestrator.nodes()
        backups = storage.backups(target, now.services)
    names = {node.id: node.name for node in nodes}
    answer = healthcheck.alive(target.url, target.settings.app.probes)
    holder = target.holder()
    wrong = [f"{each.name}: {each.progress}" for each in now.services.values()
             if not each.progress.done]  # fmt: skip
    wrong += [f"node {node.name}: {node.state}" for node in nodes if node.state != "ready"]
    wrong += [*running.login_problems(target, now), *monitoring.result()]
    wrong += [*backups.problems, *url_problems(answer, now), *differences(target, now, holder)]
    return Status(
        environment=target.name,
        problems=wrong,
        services=[_service(each, names) for each in now.services.values()],
        nodes=nodes,
        servers=servers.result(),
        site=Site(
            url=target.url,
            failure=answer.failure,
            version=answer.version,
            reached=answer.reached,
            unverified_since=records.unverified_since(now.records, now.record),
        ),
        lock=holder,
        backups=backups,
        spare=kept.spare(volumes.result(), now.stack),
        drift=None if now.drift is None else list(now.drift),
        releases=[releases.release(each, bool(holder)) for each in now.records[:3]],
    )


def url_problems(answer: Answer, now: Running) -> list[str]:
    """Return what is wrong with an answer; a site that no deploy reached need not be reached."""
    expected = not answer.reached and now.record and not now.record.url_verified
    return [] if expected or not answer.failure else [answer.failure]


def differences(target: Target, now: Running, holder: Holder | None) -> list[str]:
    """Return where servers and records differ, each with the command that ends it."""
    found = [f"{now.stranger} - inv history.adopt --env={target.name}"] if now.stranger else []
    for each in now.records:
        if each.state == RUNNING and not holder:
            # Without it, what is released comes, which may be the one before.
            ref = f" --ref={each.revision} completes it" if each.kind == "deploy" else ""
            found.append(f"release {each.number} was cut off - inv deploy --env={target.name}{ref}")
        found += [each.why] if each.state == DAMAGED else []
    if now.drift and now.record and not holder:
        count = len(now.drift)
        what = f"{count} value{'s differ' if count > 1 else ' differs'}"
        what += f" from release {now.record.number}"
        found.append(f"drift: {what} - inv deploy --env={target.name}")
    return found


def _service(service: status.Service, names: Mapping[str, str]) -> Service:
    name, _, digest = service.image.partition("@")
    progress, nodes = service.progress, _named(service.nodes, names)
    return Service(
        name=service.name,
        image=name,
        digest=digest,
        release=service.release,
        replicas=str(progress),
        wanted=progress.wanted,
        healthy=progress.healthy,
        ready=progress.done,
        nodes=nodes,
    )


def _named(nodes: Sequence[str], names: Mapping[str, str]) -> list[str]:
    return sorted(names[node] for node in nodes if node in names)
