"""A world on this machine's own engine: real containers, real images of the app, no Swarm."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from invoke import Config, Context

from tasks.lib.environments import bootstrap
from tasks.lib.environments.connection import Target
from tasks.lib.images.promotion import Candidate
from tasks.lib.orchestrators.compose import rendering
from tasks.lib.orchestrators.compose.containers import ACCEPTED, Container, by_service, serving
from tasks.lib.orchestrators.compose.orchestrator import ComposeOrchestrator
from tasks.lib.orchestrators.stack import HISTORY, RELEASE, Stack
from tasks.lib.project import names
from tasks.lib.project.settings import ROOT, Settings
from tests.testbed import registries
from tests.testbed.commands import free_port
from tests.testbed.sites import Site

from .servers import LocalHost
from .swarm_world import Factory, whole_stack
from .world import World, removed_in_the_end

# The value of every secret: with all that shells and Compose files take for their own.
VALUE = "s3cret $HOME #1 \"'\\ x" * 3


class EngineHost(LocalHost):
    """A host whose engine is this machine's; `begun`: the commands that were started."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.begun: list[subprocess.Popen[bytes]] = []

    def docker(self) -> dict[str, str]:
        """The variables that lead docker there: none."""
        return {}

    def start(self, command: str, **streams: Any) -> subprocess.Popen[bytes]:
        """Start a command; see ssh.host.Host.start."""
        words = ["sh", "-c", command]
        self.begun.append(subprocess.Popen(words, start_new_session=True, **streams))
        return self.begun[-1]


class ComposeByHand:
    """By hand on one Docker host, as people do and tools that make a container anew."""

    def __init__(self, orchestrator: ComposeOrchestrator, target: Target) -> None:
        self._orchestrator, self._server, self._target = orchestrator, orchestrator._server, target

    def _containers(self, service: str) -> list[Container]:
        return serving(by_service(self._server.containers())[service])

    def _again(self, service: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Make a service's containers anew from what they were made from, with a change."""
        first, *_ = mine = self._containers(service)
        image = self._containers("app")[0].facts["Config"]["Image"]
        stack = Stack(self._server.stack, image, first.content)
        file = rendering.generation(stack, [service], first.generation)
        made = file["services"][f"{service}-{first.generation}"]
        made["restart"] = ACCEPTED
        change(made)
        words = ("compose", "--file", "-", "--project-name", self._server.stack, "up", "--wait")
        self._server.run(*words, text=json.dumps(file))
        assert not {each.id for each in mine} & {each.id for each in self._server.containers()}

    def scale(self, service: str, replicas: int) -> None:
        """Stop all replicas but for some."""
        for each in self._containers(service)[replicas:]:
            self._server.run("stop", each.id)

    def set_variable(self, service: str, name: str, value: str) -> None:
        """Set an environment variable."""
        self._again(service, lambda made: made["environment"].update({name: value}))

    def set_image(self, service: str, image: Candidate) -> None:
        """Set an image."""
        name = str(self._target.registry.image.at(image.digest))
        self._again(service, lambda made: made.update(image=name))

    def remove(self, service: str) -> None:
        """Remove a service."""
        self._server.run("rm", "--force", *(each.id for each in self._containers(service)))

    def unlabel(self) -> None:
        """Remove the labels of the release, as a tool does that deploys without them."""

        def change(made: dict[str, Any]) -> None:
            made["labels"] = {
                k: v for k, v in made["labels"].items() if k not in (RELEASE, HISTORY)
            }

        for service in by_service(self._server.containers()):
            self._again(service, change)


@contextmanager
def local_site(folder: Path, clone: Path) -> Iterator[Site]:
    """A site whose images are in a registry of this machine, without a lab."""
    with registries.serve() as server:
        over = folder / "invoke.yaml"
        registry = {"registry": {"image": f"{server.host}/app"}}
        over.parent.mkdir(parents=True, exist_ok=True)
        over.write_text(yaml.safe_dump(registry))
        lab = {"INVOKE_RUNTIME_CONFIG": str(over), "DOCKER_CONFIG": str(folder / "docker")}
        lab |= {"CI_REGISTRY_USER": "", "CI_REGISTRY_PASSWORD": ""}
        yield Site(clone, lab, env="prod")


@contextmanager
def compose_world(factory: Factory, home: Path, **values: Any) -> Iterator[World]:
    """An environment of this machine that nothing was deployed to yet; it is removed at the end."""
    factory.used.clear()
    settings = configured(factory.site, values)
    ctx = Context(Config(overrides={"run": {"dry": False, "echo": False}}))
    host, stack = EngineHost(home / "home"), names.stack_name(settings.project.name, "prod")
    orchestrator = ComposeOrchestrator(ctx, [host], stack, {}, "inv server.setup --env=prod")  # type: ignore[list-item]
    registry = registries.client(settings.registry.image)
    target = Target(
        ctx, settings, "prod", settings.environment("prod"), [host], orchestrator, registry,
        hooks=home / "hooks",
    )  # type: ignore[list-item]  # fmt: skip
    for _ in bootstrap.set_up(target):
        continue
    for name in settings.deploy.secrets:
        orchestrator.set_secret(name, f"{name} {VALUE}")
    world = World(target, factory.make, whole_stack, ComposeByHand(orchestrator, target), pace=2)
    with removed_in_the_end(world):
        yield world


def configured(site: Site, values: dict[str, Any]) -> Settings:
    """The project's settings for this machine, impatient, under a name that nobody else has."""
    known = yaml.safe_load((ROOT / "invoke.yaml").read_text("utf-8"))
    del known["tasks"]
    port = free_port()
    known["project"]["name"] = f"t-{uuid.uuid4().hex[:6]}"
    known["registry"] |= site.settings["registry"]
    known["deploy"] |= {"timeout": 120, "soak": 1, "path": "deploy"}
    known["environments"]["prod"] = {
        "url": f"http://127.0.0.1:{port}",
        "hosts": ["memory"],
        "orchestrator": "compose",
        "values": {"START_PERIOD": "10s", "HEALTH_INTERVAL": "2s", "REPLICAS": 1}
        | {"HTTP_PORT": port, "HTTPS_PORT": free_port()} | values,
    }  # fmt: skip
    return msgspec.convert(known, Settings)
