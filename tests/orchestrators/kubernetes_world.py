"""A world on the cluster of a lab: real pods, real images of the app, real migrations."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from invoke import Config, Context
from msgspec import structs

from tasks.lib.environments import bootstrap
from tasks.lib.environments.connection import Target, reach
from tasks.lib.images.promotion import Candidate
from tasks.lib.kubernetes.client import Cluster
from tasks.lib.orchestrators.kubernetes import inventory, naming
from tasks.lib.orchestrators.kubernetes.records import ClusterStore
from tasks.lib.orchestrators.stack import HISTORY, RELEASE
from tasks.lib.project.settings import Settings
from tests.testbed.commands import until
from tests.testbed.sites import Exports

from .swarm_world import Factory, changed, settings, whole_stack
from .world import World, removed_in_the_end


class KubernetesByHand:
    """By hand on a cluster, as with kubectl: another manager of the same fields."""

    def __init__(self, cluster: Cluster, target: Target) -> None:
        self._cluster, self._target = cluster, target

    def _change(self, service: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a workload, and wait until its pods are as it says."""

        def replaced() -> bool:
            made = inventory.look(self._cluster, self._target.stack).workloads[service]
            kind = "StatefulSet" if "serviceName" in made["spec"] else "Deployment"
            made |= {"apiVersion": "apps/v1", "kind": kind}
            change(made)
            # Its controller may have written to it meanwhile.
            return bool(self._cluster.replace(made))

        until(replaced)
        until(lambda: self._target.orchestrator.services()[service].progress.done, 120)

    def scale(self, service: str, replicas: int) -> None:
        """Set the number of replicas, and wait until those that go have gone."""
        self._change(service, lambda made: made["spec"].update(replicas=replicas))
        chosen = naming.labels(self._target.stack, service)
        until(lambda: len(self._cluster.list("Pod", chosen)) == replicas, 120)

    def set_variable(self, service: str, name: str, value: str) -> None:
        """Set an environment variable."""
        variable = {"name": name, "value": value}
        self._change(service, lambda made: _container(made)["env"].append(variable))

    def set_image(self, service: str, image: Candidate) -> None:
        """Set an image."""
        name = str(self._target.registry.image.at(image.digest))
        self._change(service, lambda made: _container(made).update(image=name))

    def remove(self, service: str) -> None:
        """Remove a service."""
        self._cluster.delete("Deployment", service)

    def unlabel(self) -> None:
        """Remove what says which release it is, as a tool does that deploys without."""

        def change(made: dict[str, Any]) -> None:
            for name in (RELEASE, HISTORY):
                made["metadata"]["annotations"].pop(name, None)

        for service in self._target.orchestrator.services():
            self._change(service, change)


def _container(made: dict[str, Any]) -> dict[str, Any]:
    return dict(made["spec"]["template"]["spec"])["containers"][0]  # type: ignore[no-any-return]


class KubernetesWorld(World):
    """A world whose history is in its namespace; the tests' folders are copies of it."""

    @property
    def place(self) -> str:  # type: ignore[override]
        """How the place of the history is named."""
        return f"namespace {self._cluster.namespace}"

    @property
    def _cluster(self) -> Cluster:
        return self.orchestrator.inner._cluster  # type: ignore[no-any-return]

    def files(self) -> dict[tuple[int, str], str]:
        """The files of all records."""
        store, names = self.store.inner, ("release.json", "stack.json", "applied.json")
        found = {(n, name): store.show(n, name) for n in store.read()[1] for name in names}
        return {key: text for key, text in found.items() if text is not None}

    def move(self, path: str) -> None:
        """Have the history of a copy, or none, as after a namespace was made again."""
        store = self.store.inner
        store.remove()
        for (number, name), text in self.copies.get(path, {}).items():
            store.write(number, name, text)

    def copy_history(self, path: str) -> None:
        """Copy the history."""
        self.copies[path] = self.files()

    @cached_property
    def copies(self) -> dict[str, dict[tuple[int, str], str]]:
        """The copies by their names."""
        return {}

    def damage(self, number: int, file: str = "release.json") -> None:
        """Cut a file of the history short."""
        self.store.inner.write(number, file, self.files()[number, file][:20])

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        """Read the history as somebody whom the cluster does not know."""
        access = replace(self._cluster.access, user={"token": "nonsense"})
        known, stranger = self.store.inner, Cluster(access, self._cluster.namespace)
        self.store.inner = ClusterStore(stranger, self.target.stack)
        yield
        self.store.inner = known
        stranger.close()


@contextmanager
def kubernetes_world(factory: Factory, home: Path) -> Iterator[World]:
    """An environment of a lab that nothing was deployed to yet; it is removed at the end."""
    factory.used.clear()
    lab = factory.site.lab
    ctx = Context(Config(overrides={"run": {"dry": False, "echo": False}}))
    with changed(lab), reach(ctx, "prod", configured(lab), {**os.environ, **lab}) as target:
        target.hooks = home / "hooks"
        for _ in bootstrap.set_up(target):
            continue
        for name in target.settings.deploy.secrets:
            target.orchestrator.set_secret(name, f"{name} s3cret $HOME #1 \"'\\ x" * 3)
        cluster = target.orchestrator._cluster  # type: ignore[attr-defined]
        by_hand = KubernetesByHand(cluster, target)
        world = KubernetesWorld(target, factory.make, whole_stack, by_hand, pace=2)
        with removed_in_the_end(world):
            yield world


def configured(lab: Exports) -> Settings:
    """The project's settings in a lab with a cluster, impatient, in a namespace of its own."""
    known = settings(lab)
    prod = known.environments["prod"]
    place = structs.replace(prod.kubernetes, namespace=f"t-{uuid.uuid4().hex[:6]}")
    # The lab's DNS keeps no name.
    prod = structs.replace(prod, kubernetes=place, values=prod.values | {"APP_DRAIN": 5})
    return structs.replace(known, environments={**known.environments, "prod": prod})
