"""A world on the Swarm of a lab: real servers, real images of the app, real migrations."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml
from invoke import Config, Context

from tasks.lib.deploys import rendering
from tasks.lib.environments import bootstrap
from tasks.lib.environments.connection import Target, reach
from tasks.lib.images import refs
from tasks.lib.images.promotion import Candidate
from tasks.lib.orchestrators.stack import HISTORY, RELEASE, Stack
from tasks.lib.project.settings import ROOT, Settings
from tests.testbed.sites import Site

from .world import World, removed_in_the_end

BOOM = "#!/bin/sh\necho 'boom: no licence file' >&2\nexit 7\n"
RAISE = '\n\ndef home(request):\n    raise ValueError("{reason}")\n'
# In the server that serves, not where the page is checked before.
RAISE_IN_SERVER = """
whole = home


def home(request):
    import sys
    if "uwsgi" in sys.modules:
        raise ValueError("no page")
    return whole(request)
"""
MIGRATION = """
from django.db import migrations


def forwards(apps, schema_editor):
    {body}


class Migration(migrations.Migration):
    dependencies = [("myapp", "{before}")]
    operations = [migrations.RunPython(forwards{back})]
"""


@dataclass
class Factory:
    """Builds images of the app with a behaviour; each behaviour's first images are kept."""

    site: Site
    known: dict[str, list[str]] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)

    def make(self, marked: bool, **behaviour: Any) -> Candidate:
        """Return the next image with a behaviour; those to be marked as tested are others."""
        key = f"{sorted(behaviour.items())} {marked}"
        number = self.used[key] = self.used.get(key, 0) + 1
        commits = self.known.setdefault(key, [])
        if len(commits) < number or not self.site.registry.digest(commits[number - 1]):
            what = f"{key} {number}"
            commits[number - 1 :] = [self.site.build(what, self.files(**behaviour), tested=False)]
        return refs.resolve(self.site.registry, commits[number - 1])

    def files(
        self,
        exits: bool = False,
        page: int = 200,
        check: str = "",
        migrations: tuple[str, ...] = (),
        final: tuple[str, ...] = (),
        broken: str = "",
    ) -> dict[str, str]:
        """Return the files that give an image its behaviour."""
        found = {"=docker/web": BOOM} if exits else {}
        found |= {"myapp/views.py": RAISE_IN_SERVER} if page == 500 else {}
        found |= {"myapp/views.py": RAISE.format(reason=check)} if check else {}
        before = max(file.stem for file in (self.site.root / "myapp/migrations").glob("0*.py"))
        for name in (each.partition(".")[2] for each in migrations):
            body = f'raise RuntimeError("myapp.{name}")' if broken.endswith(name) else "pass"
            back = "" if f"myapp.{name}" in final else ", migrations.RunPython.noop"
            text = MIGRATION.format(body=body, before=before, back=back)
            found[f"=myapp/migrations/{name}.py"] = text
            before = name
        return found


class SwarmByHand:
    """By hand on a Swarm, with docker's own commands."""

    def __init__(self, target: Target) -> None:
        self._target, self._docker = target, target.orchestrator._swarm  # type: ignore[attr-defined]

    def _update(self, service: str, *words: str) -> None:
        name = f"{self._target.stack}_{service}"
        words = ("--detach=false", "--quiet", "--no-resolve-image", *words)
        self._docker.run("service", "update", *words, name)

    def scale(self, service: str, replicas: int) -> None:
        """Set the number of replicas."""
        self._update(service, f"--replicas={replicas}")

    def set_variable(self, service: str, name: str, value: str) -> None:
        """Set an environment variable."""
        self._update(service, f"--env-add={name}={value}")

    def set_image(self, service: str, image: Candidate) -> None:
        """Set an image."""
        name = str(self._target.registry.image.at(image.digest))
        self._update(service, f"--image={name}", "--with-registry-auth")

    def remove(self, service: str) -> None:
        """Remove a service."""
        self._docker.run("service", "rm", f"{self._target.stack}_{service}")

    def unlabel(self) -> None:
        """Remove the labels of the release, as a tool does that deploys without them."""
        for service in self._target.orchestrator.services():
            self._update(service, f"--label-rm={RELEASE}", f"--label-rm={HISTORY}")


@contextmanager
def swarm_world(factory: Factory, home: Path) -> Iterator[World]:
    """An environment of a lab that nothing was deployed to yet; it is removed at the end."""
    factory.used.clear()
    lab, name = factory.site.lab, factory.site.env
    ctx = Context(Config(overrides={"run": {"dry": False, "echo": False}}))
    with changed(lab), reach(ctx, name, settings(lab), {**os.environ, **lab}) as target:
        target.hooks = home / "hooks"
        for _ in bootstrap.set_up(target):
            continue
        for secret in target.settings.deploy.secrets:
            if secret not in target.orchestrator.secrets():
                target.orchestrator.set_secret(secret, lab[secret])
        store = target.store
        world = World(target, factory.make, whole_stack, SwarmByHand(target), pace=2)
        try:
            with removed_in_the_end(world):
                yield world
        finally:
            store.remove()


def whole_stack(world: World, image: Candidate) -> Stack:
    """The stack of the project's own Compose files."""
    return rendering.render(world.target, image)


def settings(lab: dict[str, str]) -> Settings:
    """The project's settings in a lab, impatient."""
    known = yaml.safe_load((ROOT / "invoke.yaml").read_text("utf-8"))
    del known["tasks"]
    over = yaml.safe_load(Path(lab["INVOKE_RUNTIME_CONFIG"]).read_text("utf-8"))
    known["deploy"] |= {"timeout": 120, "soak": 1}
    known["registry"] |= over["registry"]
    known["environments"] |= over["environments"]
    for place in known["environments"].values():
        place["values"] |= {"START_PERIOD": "10s", "HEALTH_INTERVAL": "2s", "REPLICAS": 1}
    return msgspec.convert(known, Settings)


@contextmanager
def changed(variables: dict[str, str]) -> Iterator[None]:
    """Set variables of this process for a while."""
    before = dict(os.environ)
    os.environ.update({key: each for key, each in variables.items() if key.startswith("CI_REG")})
    os.environ["DOCKER_CONFIG"] = variables["DOCKER_CONFIG"]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
