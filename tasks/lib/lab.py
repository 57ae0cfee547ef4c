"""A lab: a registry and servers in containers on this machine, to rehearse on."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import yaml

from . import console, engine, lab_plan
from .credentials import Login
from .errors import REFUSED, Failed
from .image import HUB, Reference
from .lab_plan import Plan
from .local_docker import project_name
from .registry import Registry
from .settings import ROOT
from .transport import Transport

if TYPE_CHECKING:
    from invoke import Context
    from python_on_whales import DockerClient

    from .settings import Settings

IMAGES = ROOT / "lab/images"
NODES = 3
# Seconds until every server must be ready.
TIMEOUT = 90
MANAGERS = 3


@dataclass(frozen=True)
class Report:
    """How a lab is: a table, and the names of what is not well."""

    text: str
    wrong: list[str]


class Lab:
    """A lab of a name.

    Args:
        name: it stands in its containers' names, and is its folder's below .lab/.
    """

    def __init__(self, ctx: Context, settings: Settings, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 30:
            raise Failed(f"no name for a lab: {name!r}", "use a-z, 0-9 and hyphens", REFUSED)
        self.ctx, self.settings, self.name = ctx, settings, name
        self.folder = ROOT / ".lab" / name
        self.project = project_name(settings.project.name, ROOT, f"lab-{name}")

    @cached_property
    def client(self) -> DockerClient:
        """Docker, for this lab's Compose project."""
        return engine.compose(self.ctx, [self.folder / "compose.yaml"], self.project, {})

    # Up.

    def up(self, nodes: int) -> str:
        """Start what is missing, and wait until it is ready; returns lines for the shell."""
        begun = time.monotonic()
        plan = self._plan(nodes)
        images = hub_images()
        self._supply(images)
        console.step(f"lab {self.name}: starting {len(plan.nodes)} servers and a registry")
        self.client.compose.up(detach=True, remove_orphans=True, quiet=True)
        if self.ctx.config.run.dry:
            return ""
        with ThreadPoolExecutor() as pool:
            seeding = pool.submit(self._seed, plan, images)
            self.client.compose.up(detach=True, wait=True, wait_timeout=TIMEOUT, quiet=True)
            swarm(lambda node, words: self._run(plan.nodes[node], "docker", *words), plan)
            hosts = self._meet(plan)
            seeding.result()
        console.step(f"lab {self.name}: ready after {time.monotonic() - begun:.0f} s")
        return lab_plan.exports(plan, self.folder / "invoke.yaml", hosts)

    def _plan(self, nodes: int) -> Plan:
        """The facts of this lab, new ones when there are none, and its Compose file."""
        if not engine.version():
            raise Failed("no Docker engine answers", "start Docker, or lab/engine up", REFUSED)
        plan = lab_plan.load(self.folder)
        if plan and nodes not in (0, len(plan.nodes)):
            raise Failed(f"it has {len(plan.nodes)} servers", "inv lab.down, then again", REFUSED)
        if not plan:
            self.down()
            names = self.settings.deploy.secrets
            environments = len(self.environments)
            plan = lab_plan.draw(self._subnet(), nodes or NODES, environments, names)
        lab_plan.save(self.folder, plan)
        content = lab_plan.compose(plan, node_image())
        lab_plan.write(self.folder / "compose.yaml", yaml.safe_dump(content, sort_keys=False))
        return plan

    @property
    def environments(self) -> list[str]:
        """The environments in the lab: its own, and every one of the project."""
        return ["lab", *(name for name in self.settings.environments if name != "lab")]

    def _subnet(self) -> str:
        """Addresses that the engine has not given to another network."""
        network = self.client.network.create(f"{self.project}-probe")
        try:
            return str((network.ipam.config or [])[0]["Subnet"])
        finally:
            network.remove()

    def _supply(self, images: list[str]) -> None:
        """Get the images that are not here: pull those of Docker Hub, build the servers'."""
        for image in ["registry:2", *images]:
            if not engine.has(self.ctx, image):
                console.say(f"pulling {image}")
                engine.pull(self.ctx, image)
        if not engine.has(self.ctx, node_image()):
            console.say(f"building {node_image()}")
            wanted = engine.Build(IMAGES, "node", [node_image()], file="node.Dockerfile")
            engine.build(self.ctx, wanted, {})

    def _seed(self, plan: Plan, images: list[str]) -> None:
        """Give the mirror the images that the servers would ask Docker Hub for."""
        for name in images:
            source = Reference.parse(name)
            target = Reference(f"localhost:{plan.mirror}", source.path, source.tag)
            if Registry(target, Transport(target.host)).digest(target.tag):
                continue
            self.client.image.tag(name, str(target))
            self.client.image.push(str(target), quiet=True)
            self.client.image.remove(str(target))

    def _run(self, node: str, *words: str) -> str:
        """Run a command on a server; returns what it prints."""
        return str(self.client.compose.execute(node, list(words), tty=False))

    def _meet(self, plan: Plan) -> str:
        """Write what the tasks and ssh must know of the servers; returns the known hosts."""
        keys = [self._run(node, "cat", lab_plan.HOSTKEY) for node in plan.nodes]
        hosts = lab_plan.known_hosts(plan, keys)
        content = lab_plan.overlay(plan, self.settings.project.name, self.environments)
        lab_plan.write(self.folder / "invoke.yaml", yaml.safe_dump(content, sort_keys=False))
        lab_plan.write(self.folder / "known_hosts", hosts)
        lab_plan.write(self.folder / "key", plan.private)
        return hosts

    # Down.

    def down(self) -> bool:
        """Remove everything; returns whether there was anything."""
        file = self.folder / "compose.yaml"
        label = f"com.docker.compose.project={self.project}"
        containers = self.client.container.list(all=True, filters=[("label", label)])
        networks = self.client.network.list(filters={"label": label})
        if containers:
            self.client.container.remove(containers, force=True, volumes=True)
        for network in networks:
            network.remove()
        there = bool(containers or networks or file.exists())
        if not self.ctx.config.run.dry:
            shutil.rmtree(self.folder, ignore_errors=True)
        return there

    # What is there.

    def look(self) -> Report:
        """How everything is. Raises Failed when there is no lab."""
        plan = lab_plan.load(self.folder)
        if plan is None:
            raise Failed(f"there is no lab {self.name!r}", "inv lab.up")
        members = self._members(plan)
        rows = [self._registry(plan), *(self._node(plan, node, members) for node in plan.nodes)]
        wrong = [row[0] for row in rows if row[1] != "ok"]
        urls = lab_plan.overlay(plan, self.settings.project.name, self.environments)["environments"]
        rows += [(name, "", place["url"], "") for name, place in urls.items()]
        return Report(console.table(rows), wrong)

    def _members(self, plan: Plan) -> dict[str, str]:
        """What the Swarm says of each server, as the first that answers tells it."""
        words = ["docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"]
        for node in plan.nodes:
            if told := self._try(node, *words):
                return dict(line.split(" ", 1) for line in told.splitlines())
        return {}

    def _try(self, node: str, *words: str) -> str:
        """Run a command on a server; empty when it fails."""
        try:
            return self._run(node, *words)
        except Exception:
            return ""

    def _registry(self, plan: Plan) -> tuple[str, str, str, str]:
        login = Login(plan.host, lab_plan.USER, plan.password, "the lab")
        try:
            Transport(plan.host, login).ask("GET", "/v2/")
        except Failed as error:
            return "registry", "wrong", plan.host, str(error)
        return "registry", "ok", plan.host, f"lets {login.user} in"

    def _node(self, plan: Plan, node: str, members: dict[str, str]) -> tuple[str, str, str, str]:
        engine = self._try(node, "docker", "version", "--format", "{{.Server.Version}}")
        member = members.get(node, "in no Swarm")
        state = "ok" if engine and member.startswith("Ready") else "wrong"
        ssh = f"deploy@127.0.0.1:{plan.ssh[plan.nodes.index(node)]}"
        return node, state, ssh, f"docker {engine or 'does not answer'}, {member.strip()}"


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


def swarm(run: Callable[[int, list[str]], str], plan: Plan) -> None:
    """Make one Swarm of the servers: the first three manage it, if there are as many.

    Args:
        run: runs a docker command on the server of an index; returns what it prints.
    """
    pool = ["--default-addr-pool", "172.31.0.0/16"] if plan.subnet.startswith("10.") else []
    managers = MANAGERS if len(plan.nodes) >= MANAGERS else 1
    for index, node in enumerate(plan.nodes):
        if run(index, ["info", "--format", "{{.Swarm.LocalNodeState}}"]) != "inactive":
            continue
        address = ["--advertise-addr", plan.address(node)]
        if index == 0:
            run(0, ["swarm", "init", *address, *pool])
            continue
        role = "manager" if index < managers else "worker"
        token = run(0, ["swarm", "join-token", "--quiet", role])
        first = plan.address(plan.nodes[0])
        run(index, ["swarm", "join", *address, "--token", token, f"{first}:2377"])
