"""A world on the cluster of a lab: real pods, real images of the app, real migrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from invoke import Config, Context

from tasks.lib.environments.connection import Target
from tasks.lib.images.promotion import Candidate
from tasks.lib.kubernetes import kubeconfig
from tasks.lib.kubernetes.client import Cluster
from tasks.lib.orchestrators.kubernetes import inventory
from tasks.lib.orchestrators.kubernetes.orchestrator import KubernetesOrchestrator
from tasks.lib.orchestrators.kubernetes.place import Place
from tasks.lib.orchestrators.stack import HISTORY, RELEASE
from tasks.lib.project import names
from tasks.lib.project.settings import ROOT, Settings
from tests.testbed.clusters import CONTEXT, namespace
from tests.testbed.commands import until
from tests.testbed.sites import Exports

from .servers import LocalHost
from .swarm_world import Factory, changed, whole_stack
from .world import World, removed_in_the_end

# The port of every server that LAB_URL leads to.
PORT = 30080


class KubernetesByHand:
    """By hand on a cluster, as with kubectl: another manager of the same fields."""

    def __init__(self, cluster: Cluster, target: Target) -> None:
        self._cluster, self._target = cluster, target

    def _change(self, service: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a workload, and wait until its pods are as it says."""
        found = inventory.look(self._cluster, self._target.stack)
        made = found.workloads[service]
        kind = "StatefulSet" if "serviceName" in made["spec"] else "Deployment"
        made |= {"apiVersion": "apps/v1", "kind": kind}
        change(made)
        assert self._cluster.replace(made)
        until(lambda: self._target.orchestrator.services()[service].progress.done)

    def scale(self, service: str, replicas: int) -> None:
        """Set the number of replicas."""
        self._change(service, lambda made: made["spec"].update(replicas=replicas))

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


@contextmanager
def kubernetes_world(factory: Factory, home: Path) -> Iterator[World]:
    """A namespace of a lab that nothing was deployed to yet; it is removed at the end."""
    factory.used.clear()
    lab = factory.site.lab
    settings = configured(lab)
    ctx = Context(Config(overrides={"run": {"dry": False, "echo": False}}))
    stack = names.stack_name(settings.project.name, "prod")
    # invoke.yaml cannot have it yet.
    environment = msgspec.structs.replace(settings.environment("prod"), orchestrator="kubernetes")
    access = kubeconfig.access(CONTEXT, lab)
    with namespace(access) as cluster, changed(lab):
        registry = factory.site.registry
        place = Place(cluster.namespace, environment.url, "NodePort", PORT)
        orchestrator = KubernetesOrchestrator(cluster, stack, place, registry.login.header)
        target = Target(
            ctx, settings, "prod", environment, [LocalHost(home / "home")],
            orchestrator, registry, hooks=home / "hooks",
        )  # type: ignore[list-item]  # fmt: skip
        for name in settings.deploy.secrets:
            orchestrator.set_secret(name, f"{name} s3cret $HOME #1 \"'\\ x" * 3)
        world = World(target, factory.make, whole_stack, KubernetesByHand(cluster, target), pace=2)
        with removed_in_the_end(world):
            yield world


def configured(lab: Exports) -> Settings:
    """The project's settings for a cluster, impatient."""
    known = yaml.safe_load((ROOT / "invoke.yaml").read_text("utf-8"))
    del known["tasks"]
    over = yaml.safe_load(Path(lab["INVOKE_RUNTIME_CONFIG"]).read_text("utf-8"))
    known["registry"] |= over["registry"]
    known["deploy"] |= {"timeout": 120, "soak": 1, "path": "deploy"}
    known["environments"]["prod"] = {
        "url": lab["LAB_URL"],
        "hosts": ["memory"],
        "values": {"START_PERIOD": "10s", "HEALTH_INTERVAL": "2s", "REPLICAS": 1},
    }
    return msgspec.convert(known, Settings)
