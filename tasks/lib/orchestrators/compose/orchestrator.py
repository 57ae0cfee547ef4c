"""One Docker host as an orchestrator; base.Orchestrator says what each method promises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from subprocess import PIPE, Popen
from typing import Any, BinaryIO

from ... import process
from ...docker import cli
from ...errors import ExitCode, TaskError, explain
from ...project import contract
from ...provisioning.facts import Facts
from ...provisioning.sockets import LISTENING
from ...ssh.host import Host
from .. import installation, ports
from ..base import Job, LogOptions
from ..engine import RUN
from ..evidence import LAST, complaint
from ..jobs import Runner
from ..needs import Needs
from ..on_docker import DockerOrchestrator
from ..stack import Stack
from ..status import Evidence, Failure, Node, Ports, Service
from . import containers, networks, preflight, rendering, replacement, running, teardown
from .files import CONFIG, Files
from .jobs import ComposeJobs, clear
from .rollout import ComposeRollout
from .server import Server


class ComposeOrchestrator(DockerOrchestrator):
    """One stack on one server."""

    leases, secret = "volume", "volume"  # pragma: allowlist secret
    rendered = staticmethod(rendering.render)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._server = Server(self._ctx, self._env, self._stack)
        self._files = Files(self._server)

    def services(self) -> dict[str, Service]:
        found = self._server.containers()
        return containers.services(found, contract.APP, self._hosts[0].name)

    def running(self) -> Stack:
        return running.read(self._server.containers(), self._stack)

    def nodes(self) -> list[Node]:
        info, name = self._server.info(), self._hosts[0].name
        return [Node(name, info["Name"], "ready", "server", info["ServerVersion"])]

    def ports(self) -> Ports:
        host, found = self._hosts[0], defaultdict[str, set[str]](set)
        running = self._server.objects("container", *RUN)
        ports.add(found, running, host.run(LISTENING, changes=False))
        return Ports(host.name, found)

    def problems(self) -> list[str]:
        return preflight.problems(self._server, self._hosts, self._absent)

    def misfits(self, stack: Stack, auth: str) -> list[str]:
        return [*super().misfits(stack, auth), *networks.misfits(self._server, stack)]

    def evidence(self, failure: Failure) -> Evidence:
        facts, lines = failure.handle or {}, []
        try:
            lines = self._server.log(facts["Id"], LAST)
        except Exception as error:
            lines = [f"they cannot be read: {explain(error)}"]
        health = (facts.get("State", {}).get("Health") or {}).get("Log") or []
        return Evidence(self._hosts[0].name, complaint(health), lines)

    def logs(self, services: Sequence[str], options: LogOptions) -> Iterator[str]:
        words = ["compose", "--ansi=never", "--project-name", self._stack, "logs", "--no-color"]
        words += ["--tail", str(options.tail or "all"), *(["--follow"] if options.follow else [])]
        words += ["--since", options.since] if options.since else []
        known = containers.by_service(self._server.containers())
        serving = [containers.serving(known[name]) for name in services if name in known]
        names = [f"{each.service}-{each.generation}" for each, *_ in serving]
        child = cli.popen(self._server.ctx, *words, *names, env=self._server.env, stdout=PIPE)
        if (yield from process.lines([child])):
            raise TaskError("the logs cannot be read", "the lines above say why")

    def inside(self, service: str, script: str) -> str | None:
        mine = containers.by_service(self._server.containers()).get(service, [])
        with suppress(cli.DockerError):
            for each in containers.serving(mine):
                return self._server.query("exec", each.id, "sh", "-c", script)
        return None

    def feed(self, service: str, script: str, write: Callable[[BinaryIO], None]) -> str | None:
        server = self._server
        for each in containers.serving(containers.by_service(server.containers()).get(service, [])):
            words = ("exec", "--interactive", each.id, "sh", "-c", script)
            return cli.feed(server.ctx, *words, write=write, env=server.env)
        return None

    def begin(self, service: str, script: str, **streams: Any) -> Popen[bytes] | None:
        server = self._server
        for each in containers.serving(containers.by_service(server.containers()).get(service, [])):
            words = ("exec", "--interactive", each.id, "sh", "-c", script)
            return cli.popen(server.ctx, *words, env=server.env, **streams)
        return None

    def address(self, service: str) -> str:
        return rendering.address(self._stack, service)

    @staticmethod
    def needs(hosts: Sequence[Host], facts: Sequence[Facts], user: str, source: str) -> Needs:
        items = [installation.items(each, user, source) for each in facts]
        return Needs(items, held=installation.HELD)

    def set_up(self) -> Iterator[str]:
        if found := preflight.several(self._hosts, self._absent):
            raise TaskError(found[0], code=ExitCode.REFUSED)
        name = f"{self._stack}_default"
        if name not in self._server.names("network", f"name={name}"):
            networks.make(self._server, {"name": name})
            yield f"{self._hosts[0].name}: network {name}"

    def secrets(self) -> dict[str, list[str]]:
        return self._files.secrets()

    def set_secret(self, name: str, value: str) -> str:
        return self._files.set_secret(name, value)

    def read_secrets(self, image: str) -> dict[str, str]:
        return self._files.read_secrets(image)

    def stored(self, kind: str) -> list[str]:
        return self._files.volumes(kind)

    def runner(self, stack: Stack, jobs: Sequence[Job]) -> Runner:
        return ComposeJobs(self._files, stack, jobs)

    def rollout(self, stack: Stack, back: bool = False, prune: bool = True) -> ComposeRollout:
        return ComposeRollout(self._hosts[0], self._files, stack, back, prune)

    def clear_jobs(self) -> None:
        clear(self._server)

    def remove_services(self, names: Sequence[str]) -> None:
        found = [each for each in self._server.containers() if each.service in names]
        self._server.stopping(found).wait()
        self._server.delete(each.id for each in found)

    def tidy(self, used: Collection[str]) -> None:
        older = [name for versions in self.secrets().values() for name in versions[1:]]
        if old := sorted({*older, *self._files.volumes(CONFIG)} - {*used}):
            self._server.run("volume", "rm", *old)

    def remove(self, volumes: bool) -> list[str]:
        teardown.remove(self._server, volumes)
        replacement.forget(self._hosts[0], self._stack)
        return []
