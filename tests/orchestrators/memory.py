"""An orchestrator in memory: fulfils the protocol as the real ones do, in microseconds.

It is held to the same conformance suite as they are: test_conformance.py.
"""

from __future__ import annotations

import copy
import json
import shlex
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, BinaryIO

from tasks.lib import files
from tasks.lib.docker.cli import DockerError
from tasks.lib.environments import jobs
from tasks.lib.errors import TaskError
from tasks.lib.orchestrators.base import Guard, Job, LogOptions
from tasks.lib.orchestrators.jobs import JobError
from tasks.lib.orchestrators.needs import Needs
from tasks.lib.orchestrators.stack import HISTORY, RELEASE, Stack
from tasks.lib.orchestrators.status import (
    Evidence,
    Failure,
    Lease,
    Node,
    Ports,
    Progress,
    Service,
    Stored,
    Volume,
)

GONE = "No such image"


@dataclass
class Image:
    """What an image does when it runs.

    Args:
        revision: what its app answers as its version.
        exits: its containers exit when they start.
        dies: its containers exit once they are healthy.
        hangs: its containers never get healthy.
        passing: how often an engine cannot start it, for a reason that may pass.
        page: the status of its home page.
        check: what its check complains of.
        migrations: all that it knows.
        final: those of them that are irreversible.
        broken: the migration that fails.
    """

    revision: str
    exits: bool = False
    dies: bool = False
    hangs: bool = False
    passing: int = 0
    page: int = 200
    check: str = ""
    migrations: tuple[str, ...] = ()
    final: tuple[str, ...] = ()
    broken: str = ""


@dataclass
class Cluster:
    """The servers of several stacks, and what is kept on them.

    Args:
        pulled: the images that the servers have.
        others: the ports that are taken by what is no stack.
        left: a line for each server that is not reached and has data.
        misfits: why the servers cannot run any stack as it says.
        server: the name of the only one, as settings name it.
    """

    images: dict[str, Image] = field(default_factory=dict)
    running: dict[str, dict[str, Any]] = field(default_factory=dict)
    ready: dict[str, str] = field(default_factory=dict)
    not_started: Counter[tuple[str, str]] = field(default_factory=Counter)
    secrets: dict[str, str] = field(default_factory=dict)
    configs: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: set[str] = field(default_factory=set)
    applied: list[str] = field(default_factory=list)
    backups: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    # What is done after each service that is replaced: a deployer may be killed there.
    between: Callable[[], object] = lambda: None
    pulled: set[str] = field(default_factory=set)
    others: dict[str, set[str]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    server: str = "memory"
    login: str = ""
    there: bool = True
    formed: bool = False
    down: str = ""
    # Those that no service uses.
    volumes: list[Volume] = field(default_factory=list)
    # What the image tells of the background jobs.
    report: str = ""
    # Of each lock, and of each queue for one, the newest lease, and when it was made.
    leases: dict[str, tuple[Lease, float]] = field(default_factory=dict)
    swap: Any = field(default_factory=threading.Lock)


class MemoryRollout:
    """One rollout; its first look sees replicas that start, its second how they ended."""

    def __init__(self, orchestrator: MemoryOrchestrator, stack: Stack, prune: bool) -> None:
        self._orchestrator, self._stack, self._prune = orchestrator, stack, prune
        self._looks = 0

    def apply(self) -> dict[str, Any]:
        """Give the stack to the cluster; return the specs of its services."""
        for name in set(self._stack.versions("secrets")) - set(self._orchestrator.cluster.secrets):
            raise TaskError(f"secret not found: {name}")
        self._orchestrator.put(self._stack, self._prune)
        return {name: spec(service) for name, service in self._orchestrator.running_now.items()}

    def progress(self) -> list[Progress] | None:
        """Return the state of every service; None if nothing changed since the last call."""
        self._looks += 1
        services = sorted(self._stack.services)
        if self._looks == 1:
            return [Progress(name, self._orchestrator.replicas(name), 0, 1) for name in services]
        if self._looks > 3:
            return None
        return [self._orchestrator.settle(name, self._looks == 3) for name in services]

    def stuck(self) -> Failure | None:
        """Return a new replica that does not start."""
        hanging = (name for name in self._stack.ours if self._orchestrator.image(name).hangs)
        return next((Failure("starting", name) for name in hanging), None)


class MemoryLeases:
    """A chain of leases."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self._name = cluster, name

    def newest(self) -> Lease | None:
        """Return the newest lease."""
        found, made = self._cluster.leases.get(self._name, (None, 0))
        return replace(found, age=time.monotonic() - made) if found else None

    def take(self, former: Lease | None, text: str) -> Lease | None:
        """Make the lease after the newest one; None if `former` is another one."""
        made = Lease(former.number + 1 if former else 1, text)
        with self._cluster.swap:
            if self.newest() not in (former, made):
                return None
            self._cluster.leases[self._name] = made, time.monotonic()
        return made

    def drop(self, text: str) -> None:
        """Remove the lease, if it has this text."""
        with self._cluster.swap:
            if (found := self.newest()) and found.text == text:
                del self._cluster.leases[self._name]


class MemoryOrchestrator:
    """One stack on a cluster in memory."""

    poll = 0.001

    def __init__(self, cluster: Cluster, stack: str) -> None:
        self.cluster, self.stack = cluster, stack

    # The cluster's own work.

    @property
    def running_now(self) -> dict[str, Any]:
        """The stack's services as they were given, by name."""
        return self.cluster.running.setdefault(self.stack, {})

    def image(self, name: str) -> Image:
        """What a service's image does; an image that is not the app's works."""
        return self.cluster.images.get(self.running_now[name]["image"], Image(""))

    def replicas(self, name: str) -> int:
        """How many replicas a service is to have."""
        return int(self.running_now[name]["deploy"].get("replicas", 1))

    def put(self, stack: Stack, prune: bool) -> None:
        """Take a stack over."""
        self.cluster.configs |= stack.configs
        self.cluster.pulled |= {service["image"] for service in stack.services.values()}
        files = {kind: stack.content.get(kind, {}) for kind in ("secrets", "configs")}
        self.cluster.files[self.stack] = files
        for key, each in stack.services.items():
            self.running_now[key] = copy.deepcopy(each)
            self.cluster.between()
        for name in {*self.running_now} - {*stack.services} if prune else ():
            self.running_now.pop(name)
            self.cluster.ready.pop(f"{self.stack}_{name}", None)

    def settle(self, name: str, later: bool) -> Progress:
        """Let a service become what its image makes of it; return its state."""
        image, wanted = self.image(name), self.replicas(name)
        key = f"{self.stack}_{name}"
        if self.cluster.not_started[key, image.revision] < image.passing:
            self.cluster.not_started[key, image.revision] += 1
            failed = Failure("replica 1 failed: device or resource busy", name, passing=True)
            return Progress(name, wanted, 0, 1, failed=failed)
        if image.exits or (image.dies and later):
            if image.dies:
                self.cluster.ready.pop(key, None)
            return Progress(name, wanted, 0, 1, failed=Failure("replica 1 failed: exit (7)", name))
        if image.hangs:
            return Progress(name, wanted, 0, 1)
        self.cluster.ready[key] = self.running_now[name]["image"]
        return Progress(name, wanted, wanted)

    def serving(self) -> Image | None:
        """What answers at the stack's address: the replicas that were ready last."""
        ready = self.cluster.ready.get(f"{self.stack}_app", "")
        scaled_down = "app" in self.running_now and not self.replicas("app")
        return None if scaled_down else self.cluster.images.get(ready)

    # What really is there.

    def services(self) -> dict[str, Service]:
        """Return the stack's services, as they run."""
        return {name: self._service(name) for name in sorted(self.running_now)}

    def _service(self, name: str) -> Service:
        given, wanted = self.running_now[name], self.replicas(name)
        ready = self.cluster.ready.get(f"{self.stack}_{name}") == given["image"]
        progress = Progress(name, wanted, wanted if ready else 0, 0 if ready else 1)
        labels = given["deploy"].get("labels", {})
        release, history = (labels.get(label, "") for label in (RELEASE, HISTORY))
        nodes = ["n1"] * bool(wanted)
        known = (name, given["image"], release, progress, history, nodes, spec(given))
        return Service(*known, labels=labels)

    def running(self) -> Stack:
        """Return what runs as a stack."""
        services = copy.deepcopy(self.running_now)
        content = {"services": services, **self.cluster.files[self.stack]}
        return Stack(self.stack, services["app"]["image"], content)

    def nodes(self) -> list[Node]:
        """Return the only node."""
        return [Node("n1", "memory", "ready", "leader", "1.0")]

    def ports(self) -> Ports:
        """Return the ports that each stack publishes, and those of others."""
        found = dict(self.cluster.others)
        for stack, services in self.cluster.running.items():
            ports = (port for service in services.values() for port in service.get("ports", []))
            found[stack] = {f"{port['published']}/tcp" for port in ports}
        return Ports("memory", found)

    def unmade(self) -> list[str]:
        """Return what set_up has to make before anything can be checked."""
        return [] if self.cluster.there else ["namespace prod"]

    def pull_login(self) -> str:
        """Return the login that is kept for later pulls."""
        return self.cluster.login

    def records(self) -> None:
        """The first server keeps the records."""

    def stored_images(self, repository: str) -> list[Stored]:
        """Return the images of a repository."""
        ours = [name for name in self.cluster.pulled if name.startswith(f"{repository}@")]
        return [Stored(self.cluster.server, len(ours), len(ours) * 10**6)]

    def volumes(self) -> list[Volume]:
        """Return the volumes that services use, and others of the cluster."""
        mounts = (each.get("volumes", []) for each in self.running_now.values())
        used = {each["source"] for each in chain.from_iterable(mounts)}
        return [Volume(name, 0, f"rm {name}") for name in sorted(used)] + self.cluster.volumes

    def inside(self, service: str, script: str) -> str | None:
        """Return what the image says of jobs or site, or the database's of roles or dumps."""
        if script == jobs.COMMAND:
            return self.cluster.report if service in self.running_now else None
        if service == "app":
            return json.dumps({"by": "the proxy", "wrong": self._wrong(shlex.split(script)[10])})
        if "pg_roles" in script:
            return f"{' '.join(self.cluster.roles)}\n0" if service in self.running_now else None
        dumps = "".join("\n40 1000" for _ in self.cluster.backups)
        return f"100{dumps}" if service in self.running_now else None

    def feed(self, service: str, script: str, write: Callable[[BinaryIO], None]) -> str | None:
        """Run the script on this machine, if the service runs, with its secrets in a folder."""
        with files.folder() as folder:
            for each in self.running_now.get(service, {}).get("secrets", []):
                version = self.cluster.files[self.stack]["secrets"][each["source"]]["name"]
                (folder / each["source"]).write_text(self.cluster.secrets[version])
            script = script.replace("/run/secrets", str(folder))
            run = self.begin(service, script, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if not run or not run.stdin:
                return None
            write(run.stdin)
            return run.communicate()[0].decode()

    def begin(self, service: str, script: str, **streams: Any) -> subprocess.Popen[bytes] | None:
        """Start the script on this machine, if the service runs."""
        if service not in self.running_now:
            return None
        return subprocess.Popen(["sh", "-c", script], **streams)

    def beside(self, stack: str) -> MemoryOrchestrator:
        """Return another stack on the same cluster."""
        return MemoryOrchestrator(self.cluster, stack)

    def address(self, service: str) -> str:
        """Return the name of a service's replicas."""
        return f"{self.stack}.{service}"

    def _wrong(self, version: str) -> str:
        """What is wrong with the site, asked on its server."""
        image = self.serving() or Image("nothing")
        found = [f"/ answers {image.page}"] if image.page >= 400 else []
        found += (
            [f"/livez answers with version {image.revision}"] if image.revision != version else []
        )
        return "; ".join(found)

    def problems(self) -> list[str]:
        """Return what is wrong with the servers."""
        return [self.cluster.down] if self.cluster.down else []

    def misfits(self, stack: Stack, auth: str) -> list[str]:
        """Return what was said to be wrong with any stack."""
        return self.cluster.misfits

    def missing(self, stack: Stack) -> list[str]:
        """Return the secrets and configs that a recorded stack needs and that are gone."""
        known = {"secret": self.cluster.secrets, "config": self.cluster.configs}
        return [
            f"{kind} {name}"
            for kind in known
            for name in sorted(stack.versions(f"{kind}s") - {*known[kind]})
        ]

    def evidence(self, failure: Failure) -> Evidence:
        """Return what is left of a failed replica."""
        return Evidence("memory", "HTTP 503" if self.image(failure.handle).hangs else "", ["boom"])

    def logs(self, services: Sequence[str], options: LogOptions) -> Iterator[str]:
        """Yield what each service logged: how it was asked, and a request of each version."""
        for name in services:
            yield f"{name} | the last {options.tail} lines"
            for number, image in enumerate(self.cluster.images.values()):
                yield f'{name} | {{"request_id": "id-{number}", "version": "{image.revision}"}}'

    def try_out(self, service: Mapping[str, Any], command: Sequence[str]) -> None:
        """Run a command in a service's image: a validation, which fails for nonsense."""
        if "nonsense" in command[-1]:
            raise DockerError(["docker", "run"], 1, "Caddyfile:1: unrecognized directive: nonsense")

    # The stack's lock.

    def lease(self) -> Lease | None:
        """Return the newest lease."""
        return MemoryLeases(self.cluster, self.stack).newest()

    def take_lease(self, former: Lease | None, text: str) -> Lease | None:
        """Make the lease after the newest one; None if `former` is another one."""
        return MemoryLeases(self.cluster, self.stack).take(former, text)

    def drop_lease(self, text: str) -> None:
        """Remove the lease, if it has this text."""
        MemoryLeases(self.cluster, self.stack).drop(text)

    def waiting(self) -> MemoryLeases:
        """Return the leases of those who wait."""
        return MemoryLeases(self.cluster, f"{self.stack}.queue")

    # Servers and secrets.

    @staticmethod
    def needs(hosts: Any, facts: Any, user: str, source: str) -> Needs:
        """Nothing of a bare server."""
        return Needs([[] for _ in facts])

    def set_up(self) -> Iterator[str]:
        """Form the cluster."""
        if not self.cluster.formed:
            self.cluster.formed = True
            yield "memory: a new cluster"

    def secrets(self) -> dict[str, list[str]]:
        """Return the versions of each secret, the newest first."""
        if self.cluster.down:
            raise TaskError(self.cluster.down)
        found: dict[str, list[str]] = {}
        for version in self.cluster.secrets:
            if version.startswith(f"{self.stack}_"):
                name = version.removeprefix(f"{self.stack}_").rpartition("_v")[0]
                found.setdefault(name, []).append(version)
        return {name: sorted(each, key=number, reverse=True) for name, each in found.items()}

    def set_secret(self, name: str, value: str) -> str:
        """Store the next version of a secret; return its name."""
        newest = self.secrets().get(name, ["_v0"])[0]
        made = f"{self.stack}_{name}_v{number(newest) + 1}"
        self.cluster.secrets[made] = value
        return made

    def read_secrets(self, image: str) -> dict[str, str]:
        """Return the newest value of each secret."""
        return {key: self.cluster.secrets[found[0]] for key, found in self.secrets().items()}

    def remove_secret(self, name: str) -> None:
        """Delete all versions of a secret."""
        for version in self.secrets()[name]:
            del self.cluster.secrets[version]

    # Changes.

    def render(self, config: Mapping[str, Any], image: str, secrets: Mapping[str, str]) -> Stack:
        """Return the stack of a Compose project."""
        configs = {f"{self.stack}_{key}_1": text for key, text in config["configs"].items()}
        content = {
            "services": copy.deepcopy(config["services"]),
            "secrets": {key: {"name": version} for key, version in secrets.items()},
            "configs": {key: {"name": f"{self.stack}_{key}_1"} for key in config["configs"]},
        }
        return Stack(self.stack, image, content, configs)

    def manifests(self, stack: Stack) -> str:
        """Return a stack as JSON."""
        return stack.text()

    def rollout(self, stack: Stack, back: bool = False, prune: bool = True) -> MemoryRollout:
        """Return the rollout of a stack."""
        return MemoryRollout(self, stack, prune)

    def run_jobs(
        self, stack: Stack, jobs: Sequence[Job], timeout: float, guard: Guard, answer: str = ""
    ) -> str:
        """Run one-off jobs one after another."""
        guard.confirm()
        names = {f"{stack.name}_jobs_{job.name}" for job in jobs}
        self.cluster.jobs |= names
        try:
            roles = [job.command[-1].split() for job in jobs if job.name == "roles"]
            self.cluster.roles = [*roles, self.cluster.roles][0]
            answers = [self._job(job, self.cluster.images[stack.image]) for job in jobs]
            guard.check()
            return answers[0] if answer else ""
        except Exception:
            guard.check()
            raise
        finally:
            self.cluster.jobs -= names

    def _job(self, job: Job, image: Image) -> str:
        if job.name == "backup":
            name, count, *named = job.command[3:]
            older = self.cluster.backups[::-1][int(count) - 1 :]
            kept = [each for each in self.cluster.backups if each not in older or each in named]
            self.cluster.backups[:] = [*kept, name]
        elif job.name in {"check", "pending"}:
            if image.check and job.name == "check":
                raise TaskError(f"check failed: exit (1): {image.check}")
            pending = [name for name in image.migrations if name not in self.cluster.applied]
            final = [name for name in pending if name in image.final]
            return json.dumps({"pending": pending, "final": final})
        elif job.name == "migrate":
            for name in image.migrations:
                if name == image.broken:
                    raise JobError(f"migrate failed: exit (1): {name}", [f"Applying {name}", name])
                if name not in self.cluster.applied:
                    self.cluster.applied.append(name)
        return ""

    def clear_jobs(self) -> None:
        """Remove the jobs that a killed deploy has left."""
        self.cluster.jobs -= {name for name in self.cluster.jobs if name.startswith(self.stack)}

    def remove_services(self, names: Sequence[str]) -> None:
        """Remove services."""
        for name in names:
            self.running_now.pop(name, None)
            self.cluster.ready.pop(f"{self.stack}_{name}", None)

    def tidy(self, used: Collection[str]) -> None:
        """Delete secrets and configs but for the used ones and each secret's newest version."""
        older = [version for versions in self.secrets().values() for version in versions[1:]]
        for version in {*older} - {*used}:
            del self.cluster.secrets[version]
        for name in {each for each in self.cluster.configs if each.startswith(self.stack)} - {
            *used
        }:
            del self.cluster.configs[name]

    def tidy_images(self, repository: str, keep: Collection[str]) -> list[str]:
        """Delete a repository's images but for those to keep, and those that run."""
        stacks = self.cluster.running.values()
        runs = {service["image"] for services in stacks for service in services.values()}
        ours = {name for name in self.cluster.pulled if name.startswith(f"{repository}@")}
        self.cluster.pulled -= {name for name in ours - runs if name.partition("@")[2] not in keep}
        return []

    def remove(self, volumes: bool) -> list[str]:
        """Remove everything of the stack; with volumes its data and secrets, too."""
        self.clear_jobs()
        self.remove_services(list(self.running_now))
        self.cluster.running.pop(self.stack, None)
        if volumes:
            self.cluster.applied.clear()
            for name in self.secrets():
                self.remove_secret(name)
        return self.cluster.left if volumes else []


def number(version: str) -> int:
    """The number of a secret's version."""
    return int(version.rpartition("_v")[2])


def spec(service: Mapping[str, Any]) -> dict[str, Any]:
    """What a service was given, but for the labels of its release."""
    made = copy.deepcopy(dict(service))
    labels = made["deploy"].get("labels", {}).items()
    made["deploy"]["labels"] = {key: each for key, each in labels if key not in {RELEASE, HISTORY}}
    return made
