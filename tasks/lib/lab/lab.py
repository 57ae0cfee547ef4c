"""A lab: a registry and servers in containers on this machine, to rehearse on."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import DEVNULL
from typing import TYPE_CHECKING

import yaml

from .. import console, process
from ..docker import cli, client
from ..docker.build import Build, build
from ..docker.compose import Project, project_name
from ..errors import ExitCode, TaskError
from ..files import write_private
from ..project.settings import ROOT
from ..registry.client import Registry
from ..registry.reference import HUB, Reference
from ..registry.session import Session
from . import config_files, environments, state, swarm
from .state import Plan

if TYPE_CHECKING:
    from invoke import Context

    from ..project.settings import Settings

# What Compose marks all that is a project's with.
PROJECT = "com.docker.compose.project"
IMAGES = ROOT / "lab/images"
NODES, MOST = 3, 20
# Seconds until every server must be ready.
TIMEOUT = 90


class Lab:
    """A lab of a name.

    Args:
        name: it stands in its containers' names, and is its folder's below .lab/.
    """

    def __init__(self, ctx: Context, settings: Settings, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 30:
            raise TaskError(
                f"no name for a lab: {name!r}", "use a-z, 0-9 and hyphens", ExitCode.REFUSED
            )
        if not client.version(ctx):
            raise TaskError(
                "no Docker engine answers", "start Docker, or lab/engine up", ExitCode.REFUSED
            )
        self.ctx, self.settings, self.name = ctx, settings, name
        self.dry = ctx.config.run.dry
        self.folder = ROOT / ".lab" / name
        self.project = project_name(settings.project.name, ROOT, f"lab-{name}")
        self.compose = Project(ctx, [self.folder / "compose.yaml"], self.project)
        self.environments = ["lab", *(each for each in settings.environments if each != "lab")]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lab while it is changed. Raises TaskError when another task holds it."""
        if self.dry:
            yield
            return
        self.folder.mkdir(0o700, parents=True, exist_ok=True)
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            what = f"another task is at work on lab {self.name}"
            raise TaskError(what, "wait until it has ended", ExitCode.REFUSED) from None
        finally:
            with suppress(OSError):
                # Nothing was begun, or nothing is left.
                self.folder.rmdir()
            os.close(handle)

    # Up.

    def up(self, nodes: int) -> str:
        """Start what is missing, and wait until it is ready; returns lines for the shell.

        Args:
            nodes: how many servers; 0 for as many as it has, or NODES.
        """
        begun = time.monotonic()
        plan = self._plan(nodes)
        images = hub_images()
        self._ensure_images(images)
        console.step(f"lab {self.name}: starting {len(plan.nodes)} servers and a registry")
        self.compose.run("up", "--detach", "--remove-orphans")
        if self.dry:
            return ""
        with self._seeding(plan, images):
            self._wait()
            addresses = {node: plan.address(node) for node in plan.nodes}
            swarm.form(self.docker, self.ask, addresses)
        lines = self._write_client_config(plan)
        console.step(f"lab {self.name}: ready after {time.monotonic() - begun:.0f} s")
        return lines

    def _plan(self, nodes: int) -> Plan:
        """The facts of this lab, new ones when there are none, and its Compose file."""
        plan = state.load(self.folder)
        if not 0 <= nodes <= MOST:
            raise TaskError(f"a lab of {nodes} servers", f"1 to {MOST}", ExitCode.REFUSED)
        if plan and nodes not in (0, len(plan.nodes)):
            what = f"lab {self.name} has {len(plan.nodes)} servers, not {nodes}"
            raise TaskError(what, f"inv lab.down --name {self.name}, then again", ExitCode.REFUSED)
        if not plan:
            # What is there without its folder has nobody who knows its keys.
            self._clear()
            names, places = self.settings.deploy.secrets, len(self.environments)
            plan = state.draw(self._subnet(), nodes or NODES, places, names)
        if not self.dry:
            state.save(self.folder, plan)
            self._write("compose.yaml", config_files.compose(plan, self.project, node_image()))
        return plan

    def _write(self, name: str, content: object) -> None:
        write_private(self.folder / name, yaml.safe_dump(content, sort_keys=False))

    def _subnet(self) -> str:
        """Addresses that the engine has given to no other network."""
        if self.dry:
            return "192.0.2.0/24"
        name, mark = f"{self.project}-probe", f"{PROJECT}={self.project}"
        subnet = "{{(index .IPAM.Config 0).Subnet}}"
        cli.run(self.ctx, "network", "create", "--label", mark, name)
        try:
            return cli.run(self.ctx, "network", "inspect", "--format", subnet, name, reads=True)
        finally:
            cli.run(self.ctx, "network", "rm", name)

    def _ensure_images(self, images: list[str]) -> None:
        """Get the images that are not here: pull those of Docker Hub, build the servers'."""
        for image in ["registry:2", *images]:
            if not client.has(self.ctx, image):
                console.say(f"pulling {image}")
                client.pull(self.ctx, image)
        if not client.has(self.ctx, node_image()):
            console.say(f"building {node_image()}")
            build(self.ctx, Build(IMAGES, "node", [node_image()], file="node.Dockerfile"), {})

    def _wait(self) -> None:
        """Wait until all are healthy. Raises TaskError, after its log, for one that is not."""
        with suppress(cli.DockerError):
            self.compose.run("up", "--detach", "--wait", "--wait-timeout", str(TIMEOUT))
            return
        for container in self.compose.containers():
            if container.health != "healthy":
                console.say(self.compose.logs(container, 20))
                raise TaskError(f"{container.name} is unhealthy: see its log above", "inv lab.up")

    @contextmanager
    def _seeding(self, plan: Plan, images: list[str]) -> Iterator[None]:
        """Give the mirror, meanwhile, the images that the servers would ask Docker Hub for."""
        pushes = {}
        try:
            for image in images:
                source = Reference.parse(image)
                target = Reference(f"localhost:{plan.mirror}", source.path, source.tag)
                if not Registry(target, Session(target.host)).digest(target.tag):
                    cli.run(self.ctx, "tag", image, str(target))
                    words = ("push", "--quiet", str(target))
                    pushes[str(target)] = cli.popen(self.ctx, *words, stdout=DEVNULL)
            yield
            for name, push in pushes.items():
                if process.wait(push):
                    raise TaskError(f"docker push {name}: see above", "inv lab.up")
        finally:
            for name, push in pushes.items():
                process.end(push)
                cli.run(self.ctx, "image", "rm", name)

    def _write_client_config(self, plan: Plan) -> str:
        """Write what the tasks and ssh must know of the servers; returns lines for the shell."""
        keys = [self._run(node, "cat", config_files.HOSTKEY) for node in plan.nodes]
        hosts = config_files.known_hosts(plan, keys)
        settings = self.folder / "invoke.yaml"
        name = self.settings.project.name
        self._write(settings.name, config_files.overlay(plan, name, self.environments))
        write_private(self.folder / "known_hosts", hosts)
        write_private(self.folder / "key", plan.private)
        told = config_files.variables(plan, settings, hosts)
        environments.prepare(self.ctx, self.settings, settings, told)
        return config_files.exports(told)

    def _run(self, node: str, *words: str) -> str:
        return cli.run(self.ctx, "exec", f"{self.project}-{node}", *words)

    def docker(self, node: str, *words: str) -> str:
        """What a docker command prints on a server."""
        return self._run(node, "docker", *words)

    def ask(self, node: str, *words: str) -> str:
        """The same; empty when it fails, or takes as long as a Swarm without a leader does."""
        with suppress(cli.DockerError):
            return self._run(node, "timeout", "5", "docker", *words)
        return ""

    # Down.

    def down(self) -> bool:
        """Remove everything; returns whether there was anything."""
        existed = self._clear()
        if plan := state.load(self.folder):
            client.forget(self.ctx, plan.host)
        if not self.dry:
            for file in self.folder.glob("*"):
                file.unlink()
        return existed or plan is not None

    def _clear(self) -> bool:
        """Remove containers, networks and volumes, with or without a folder that tells of them."""
        own = ("--quiet", "--filter", f"label={PROJECT}={self.project}")
        containers = cli.run(self.ctx, "ps", "--all", *own, reads=True).split()
        networks = cli.run(self.ctx, "network", "ls", *own, reads=True).split()
        if containers:
            cli.run(self.ctx, "container", "rm", "--force", "--volumes", *containers)
        if networks:
            cli.run(self.ctx, "network", "rm", *networks)
        return bool(containers or networks)


def node_image() -> str:
    """The name of a server's image: another one when its definition changes."""
    parts = [file.read_bytes() for file in sorted(IMAGES.glob("node*"))]
    return f"lab-node:{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}"


def hub_images() -> list[str]:
    """The images of Docker Hub that the project's Compose files name."""
    files = (ROOT / "compose").glob("*.yml")
    lines = (re.findall(r"^ +image: *([^\s$]+)$", file.read_text("utf-8"), re.M) for file in files)
    found = {name for names in lines for name in names}
    return sorted(name for name in found if Reference.parse(name).host == HUB)
