"""A lab: a registry and servers in containers on this machine, to rehearse on."""

from __future__ import annotations

import fcntl
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import get_args

import yaml
from invoke import Context

from .. import console, files
from ..docker import cli, client
from ..docker.compose import Project, project_name
from ..errors import ExitCode, TaskError
from ..project.fields import Kind
from ..project.settings import ROOT, read_settings
from . import config_files, environments, images, kubernetes, state
from .kubernetes import KUBERNETES
from .state import State

# The label that Compose gives all resources of a project.
PROJECT = "com.docker.compose.project"
# What a new lab is for where nothing is said.
SWARM = "swarm"
# The number of a new Swarm's servers where 0 is given, and the largest one.
NODES, MOST = 3, 20
# Seconds within which every server must be healthy.
TIMEOUT = 90


class Lab:
    """A lab, whose name is in its containers' names and its folder's, in .lab/."""

    def __init__(self, ctx: Context, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 30:
            hint = "use up to 30 of a-z, 0-9 and hyphens"
            raise TaskError(f"invalid lab name {name!r}", hint, ExitCode.REFUSED)
        if not client.version(ctx):
            hint = "start Docker, or run lab/engine up"
            raise TaskError("no Docker engine answers", hint, ExitCode.REFUSED)
        self.ctx, self.name, self.dry = ctx, name, ctx.config.run.dry
        # Also when INVOKE_RUNTIME_CONFIG still names the file of a lab that was removed.
        self.settings = read_settings(ctx, missing_ok=True)
        self.folder = ROOT / ".lab" / name
        self.project = project_name(self.settings.project.name, ROOT, f"lab-{name}")
        self.compose = Project(ctx, [self.folder / "compose.yaml"], self.project)
        self.environments = ["lab", *(env for env in self.settings.environments if env != "lab")]

    @contextmanager
    def locked(self) -> Iterator[Lab]:
        """Lock the lab during changes. Raises TaskError when another task has locked it."""
        if self.dry:
            yield self
            return
        files.own_folder(self.folder.parent)
        self.folder.mkdir(0o700, exist_ok=True)
        try:
            with files.locked(self.folder, fcntl.LOCK_NB):
                try:
                    yield self
                finally:
                    with suppress(OSError):
                        # Removed only when empty: the lab was never started, or is gone.
                        self.folder.rmdir()
        except BlockingIOError:
            what = f"lab {self.name} is locked by another task"
            raise TaskError(what, "wait until it ends, then retry", ExitCode.REFUSED) from None

    def up(self, nodes: int, orchestrator: str = "") -> Mapping[str, str]:
        """Start what is missing, wait until it is ready; return the variables that use the lab."""
        started = time.monotonic()
        wanted = self._ensure_state(nodes, orchestrator)
        images.ensure(self.ctx, self.settings.services)
        console.step(f"lab {self.name}: starting {len(wanted.nodes)} servers and a registry")
        self.compose.run("up", "--detach", "--remove-orphans")
        if self.dry:
            return {}
        with images.pushing(self.ctx, wanted.mirror, self.settings.services):
            self._wait()
            variables = self._write_client_config(wanted)
        console.step(f"lab {self.name}: ready after {time.monotonic() - started:.0f} s")
        return variables

    def _ensure_state(self, nodes: int, orchestrator: str) -> State:
        """Read or create the lab's state, and write its Compose file."""
        known = state.load(self.folder)
        if not 0 <= nodes <= MOST:
            what = f"invalid number of servers: {nodes}"
            raise TaskError(what, f"use 1 to {MOST}", ExitCode.REFUSED)
        if known and nodes not in (0, len(known.nodes)):
            what = f"lab {self.name} has {len(known.nodes)} servers, not {nodes}"
            raise TaskError(what, f"inv lab.down --name {self.name}, then retry", ExitCode.REFUSED)
        kinds = (*get_args(Kind), KUBERNETES)
        if orchestrator and orchestrator not in kinds:
            hint = f"known: {', '.join(kinds)}"
            raise TaskError(f"no orchestrator {orchestrator!r}", hint, ExitCode.REFUSED)
        if known and orchestrator not in ("", known.orchestrator):
            what = f"lab {self.name} is for {known.orchestrator}, not {orchestrator}"
            raise TaskError(what, f"inv lab.down --name {self.name}, then retry", ExitCode.REFUSED)
        if not known:
            # Containers left without their state are unusable: their keys are lost.
            self._clear()
            names, count = self.settings.deploy.secrets, len(self.environments)
            kind = orchestrator or SWARM
            nodes = nodes or (NODES if kind in (SWARM, KUBERNETES) else 1)
            known = state.new_state(self._subnet(), nodes, count, names, kind)
        if not self.dry:
            state.save(self.folder, known)
            compose = config_files.compose(known, self.project, self._node_image(known))
            self._write("compose.yaml", compose)
        return known

    def _node_image(self, known: State) -> str:
        """Return the name of the servers' image; that of a cluster is built if it is missing."""
        if known.orchestrator == KUBERNETES:
            return kubernetes.image()
        return images.node_image()

    def _write(self, name: str, content: object) -> None:
        files.write_private(self.folder / name, yaml.safe_dump(content, sort_keys=False))

    def _subnet(self) -> str:
        """Return a subnet that the engine uses for no other network."""
        if self.dry:
            return "192.0.2.0/24"
        name, label = f"{self.project}-probe", f"{PROJECT}={self.project}"
        subnet = "{{(index .IPAM.Config 0).Subnet}}"
        cli.run(self.ctx, "network", "create", "--label", label, name)
        try:
            return cli.run(self.ctx, "network", "inspect", "--format", subnet, name, reads=True)
        finally:
            cli.run(self.ctx, "network", "rm", name)

    def _wait(self) -> None:
        """Wait until all containers are healthy. Raises TaskError for one that is not."""
        with suppress(cli.DockerError):
            self.compose.run("up", "--detach", "--wait", "--wait-timeout", str(TIMEOUT))
            return
        for container in self.compose.containers():
            if container.health != "healthy":
                console.say(self.compose.logs(container, 20))
                raise TaskError(f"{container.name} is unhealthy: see its log above", "inv lab.up")

    def _write_client_config(self, state: State) -> Mapping[str, str]:
        """Write the clients' files, and set up the environments; return the variables."""
        if state.orchestrator == KUBERNETES:
            return self._write_kubeconfig(state)
        keys = [self._execute(node, "cat", config_files.HOSTKEY) for node in state.nodes]
        hosts = config_files.known_hosts(state, keys)
        overlay = config_files.overlay(state, self.settings.project.name, self.environments)
        self._write("invoke.yaml", overlay)
        files.write_private(self.folder / "known_hosts", hosts)
        files.write_private(self.folder / "key", state.private)
        variables = config_files.variables(state, self.folder / "invoke.yaml", hosts)
        environments.set_up(self.ctx, self.settings, overlay, variables)
        return variables

    def _write_kubeconfig(self, state: State) -> Mapping[str, str]:
        """Make the servers one cluster; return the variables."""
        self._write("invoke.yaml", config_files.overlay(state, self.settings.project.name, []))
        kubeconfig = kubernetes.form(state, self._node_image(state), self.project)
        files.write_private(self.folder / "kubeconfig", kubeconfig)
        return kubernetes.variables(state, self.folder)

    def _execute(self, node: str, *words: str) -> str:
        return cli.run(self.ctx, "exec", f"{self.project}-{node}", *words)

    def query(self, node: str, *words: str) -> str:
        """Run a command on a server for at most 5 s; return its output, empty when it fails."""
        with suppress(cli.DockerError):
            return self._execute(node, "timeout", "5", *words)
        return ""

    def down(self) -> bool:
        """Remove everything; returns whether anything existed."""
        existed = self._clear()
        if known := state.load(self.folder):
            client.forget(self.ctx, known.host)
        if not self.dry:
            for file in self.folder.glob("*"):
                file.unlink()
        return existed or known is not None

    def _clear(self) -> bool:
        """Remove containers, networks and volumes, also of a lab whose folder is missing."""
        own = ("--quiet", "--filter", f"label={PROJECT}={self.project}")
        containers = cli.run(self.ctx, "ps", "--all", *own, reads=True).split()
        networks = cli.run(self.ctx, "network", "ls", *own, reads=True).split()
        if containers:
            cli.run(self.ctx, "container", "rm", "--force", "--volumes", *containers)
        if networks:
            cli.run(self.ctx, "network", "rm", *networks)
        return bool(containers or networks)
