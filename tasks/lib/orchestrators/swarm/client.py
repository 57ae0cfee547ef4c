"""A Swarm, asked through one of its managers: services, nodes, secrets, configs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ... import files
from ...docker import cli
from ...docker.cli import DockerError
from ...docker.retry import again
from ..engine import Engine, name_of, next_version, versions
from ..servers import DIGEST
from ..stack import STACK as OWN
from ..stack import Stack

# Labels that `docker stack deploy` sets: the stack, and the image of its file.
STACK, IMAGE = "com.docker.stack.namespace", "com.docker.stack.image"


class Swarm(Engine):
    """Docker on a manager; `env` lets it reach the manager, and log in to the registry."""

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes."""
        return self.objects("node")

    def services(self, stack: str, names: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
        """Return the services of a stack, by their names in it; without names, all of them.

        Each is asked for by itself: a list has the engine's defaults for what was not given.
        """
        wanted = [f"{stack}_{name}" for name in names] or self.ids("service", of(stack))
        found = self.inspect("service", wanted)
        return {name_of(each).removeprefix(f"{stack}_"): each for each in found}

    def digests(self) -> list[str]:
        """Return the digests of the images that services have."""
        return DIGEST.findall(json.dumps(self.objects("service")))

    def logs(self, name: str, lines: int | str = "all") -> list[str]:
        """Return the last lines that a service or one of its tasks logged; none if it is gone."""
        words = ("service", "logs", "--raw", "--tail", str(lines), name)
        read = partial(cli.run, self.ctx, *words, env=self.env, reads=True, merged=True)
        try:
            return again(read).splitlines()
        except DockerError as error:
            return error.stderr.splitlines()

    def secrets(self, stack: str) -> dict[str, list[str]]:
        """Return the versions of each secret of a stack, the newest first."""
        return versions(stack, self.names("secret"))

    def set_secret(self, stack: str, name: str, value: str) -> str:
        """Store a secret's next version, as none can be changed; return its name."""
        made = next_version(stack, name, self.secrets(stack))
        self.run("secret", "create", "--label", f"{OWN}={stack}", made, "-", text=value)
        return made

    def apply(self, stack: Stack, prune: bool = False) -> None:
        """Deploy a stack; Swarm replaces its replicas on its own from here on."""
        again(lambda: self._apply(stack, prune))

    def _apply(self, stack: Stack, prune: bool) -> None:
        known = self.names("config") if stack.configs else []
        label = ("--label", f"{OWN}={stack.name}")
        for name in sorted(stack.configs.keys() - known):
            self.run("config", "create", *label, name, "-", text=stack.configs[name])
        with files.folder() as folder:
            file = folder / "stack.json"
            file.write_text(stack.text(), "utf-8")
            options = ["--resolve-image", "never", "--with-registry-auth", "--detach"]
            options += ["--prune"] if prune else []
            self.run("stack", "deploy", *options, "--compose-file", str(file), stack.name)

    def forget_images(self, services: Iterable[Mapping[str, Any]]) -> None:
        """Let `stack deploy` set the images of services anew, also one that was changed by hand.

        It keeps a service's image as long as its label has the image of the stack's file.
        """
        for service in services:
            image = service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
            if service["Spec"]["Labels"].get(IMAGE, image) != image:
                self.update(service["ID"], "--label-rm", IMAGE)

    def update(self, service: str, *options: str) -> None:
        """Change a service, and nothing else of it: docker would pin its image's tag by the way."""
        self.run("service", "update", "--detach", "--no-resolve-image", *options, service)

    def remove_services(self, names: Sequence[str]) -> None:
        """Remove services, by their full names or IDs."""
        if names:
            self.run("service", "rm", *names)

    def tidy(self, stack: str, used: Collection[str]) -> None:
        """Delete a stack's secrets and configs; see base.Orchestrator.tidy."""
        configs = self.names("config", own(stack))
        older = [name for versions in self.secrets(stack).values() for name in versions[1:]]
        for kind, names in (("config", configs), ("secret", older)):
            if old := sorted({*names} - {*used}):
                self.run(kind, "rm", *old)


def of(stack: str) -> str:
    """Return docker's filter for the objects that Docker counts as a stack's."""
    return f"label={STACK}={stack}"


def own(stack: str) -> str:
    """Return docker's filter for the secrets and configs that are a stack's.

    The label is our own: `docker stack rm` deletes what has Docker's.
    """
    return f"label={OWN}={stack}"
