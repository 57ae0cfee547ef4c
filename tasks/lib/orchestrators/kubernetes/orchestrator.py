"""Kubernetes as an orchestrator; base.Orchestrator says what each method promises."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from ...errors import ExitCode, TaskError
from ...kubernetes.client import Cluster
from ...kubernetes.execution import Write
from .. import jobs
from ..base import Guard, Job, LogOptions
from ..locking import Leased
from ..needs import Needs
from ..stack import Stack
from ..status import Evidence, Failure, Node, Ports, Service, Stored, Volume
from . import (
    evidence,
    inventory,
    logs,
    manifests,
    namespace,
    naming,
    pod_status,
    preflight,
    rendering,
    secrets,
    teardown,
)
from .jobs import KubernetesJobs, clear, try_out
from .leases import QUEUE, Leases
from .place import Place
from .records import ClusterStore
from .rollout import KubernetesRollout

# Why nothing is set up beside an environment, and what to do.
ALONE = "monitoring is not set up on a cluster", "use the cluster's own: docs/monitoring.md"


class KubernetesOrchestrator(Leased):
    """One stack in a namespace of a cluster.

    Args:
        auth: the login with which the cluster pulls images (Login.header); empty without one.
        setup: the command that makes the namespace, for messages.
    """

    poll = 0.5

    def __init__(
        self, cluster: Cluster, stack: str, place: Place, auth: str = "", setup: str = ""
    ) -> None:
        self._cluster, self._stack, self._place, self._auth = cluster, stack, place, auth
        self._setup = setup
        self._leases, self._queue = Leases(cluster, stack), Leases(cluster, stack, QUEUE)
        self._secrets = secrets.Secrets(cluster, stack)

    def services(self) -> dict[str, Service]:
        return inventory.look(self._cluster, self._stack).services()

    def running(self) -> Stack:
        found = inventory.look(self._cluster, self._stack).stack(self._stack)
        return rendering.placed(found, self._place)

    def nodes(self) -> list[Node]:
        used = {node for each in self.services().values() for node in each.nodes}
        return [Node(name, name, "ready", "node", "") for name in sorted(used)]

    def ports(self) -> Ports:
        return Ports(self._cluster.name, {})

    def problems(self) -> list[str]:
        return preflight.problems(self._cluster, self._place, self._auth, self._setup)

    def unmade(self) -> list[str]:
        own = self._cluster.namespace
        return [f"namespace {own}"] if namespace.absent(self._cluster) else []

    def misfits(self, stack: Stack, auth: str) -> list[str]:
        return preflight.misfits(self._cluster, self._place, stack)

    def missing(self, stack: Stack) -> list[str]:
        return inventory.missing(self._cluster, stack)

    def evidence(self, failure: Failure) -> Evidence:
        return evidence.collect(self._cluster, failure)

    def logs(self, services: Sequence[str], options: LogOptions) -> Iterator[str]:
        return logs.read(self._cluster, self._stack, services, options)

    def try_out(self, service: Mapping[str, Any], command: Sequence[str]) -> None:
        try_out(self._cluster, self._stack, service, command)

    def records(self) -> ClusterStore:
        return ClusterStore(self._cluster, self._stack)

    def pull_login(self) -> str:
        return secrets.stored_login(self._cluster)

    def stored_images(self, repository: str) -> list[Stored]:
        return []

    def volumes(self) -> list[Volume]:
        return inventory.volumes(self._cluster, self._stack)

    def inside(self, service: str, script: str) -> str | None:
        for pod in self._ready(service):
            with suppress(TaskError):
                return self._cluster.execute(pod, service, ["sh", "-c", script])
        return None

    def feed(self, service: str, script: str, write: Write) -> str | None:
        for pod in self._ready(service):
            return self._cluster.execute(pod, service, ["sh", "-c", script], write)
        return None

    def begin(self, service: str, script: str, **streams: Any) -> NoReturn:
        raise TaskError(*ALONE, ExitCode.REFUSED)

    def beside(self, stack: str) -> NoReturn:
        raise TaskError(*ALONE, ExitCode.REFUSED)

    def address(self, service: str) -> NoReturn:
        raise TaskError(*ALONE, ExitCode.REFUSED)

    def _ready(self, service: str) -> list[str]:
        """Return the pods of a service that are ready."""
        chosen = naming.labels(self._stack, service)
        pods = self._cluster.list("Pod", chosen)
        return [each["metadata"]["name"] for each in pods if pod_status.is_ready(each)]

    @staticmethod
    def needs(hosts: Any, facts: Any, user: str, source: str) -> Needs:
        return Needs([[] for _ in facts])

    def set_up(self) -> Iterator[str]:
        yield from namespace.make(self._cluster, self._stack)
        if secrets.may_replace_login(self._cluster, self._auth):
            self._sign_in()
            yield f"{self._cluster.name}: the login to the registry"

    def secrets(self) -> dict[str, list[str]]:
        return self._secrets.versions()

    def set_secret(self, name: str, value: str) -> str:
        return self._secrets.set(name, value)

    def read_secrets(self, image: str) -> dict[str, str]:
        return self._secrets.values()

    def remove_secret(self, name: str) -> None:
        self._secrets.remove(self.secrets()[name])

    def render(self, config: Mapping[str, Any], image: str, secrets: Mapping[str, str]) -> Stack:
        return rendering.placed(rendering.render(config, self._stack, image, secrets), self._place)

    def manifests(self, stack: Stack) -> str:
        return manifests.text(manifests.objects(stack, self._place))

    def rollout(self, stack: Stack, back: bool = False, prune: bool = True) -> KubernetesRollout:
        self._sign_in()
        return KubernetesRollout(self._cluster, self._place, stack, back, prune)

    def run_jobs(
        self, stack: Stack, jobs_: Sequence[Job], timeout: float, guard: Guard, answer: str = ""
    ) -> str:
        self._sign_in()
        # A job may need those of its stack before anything is rolled out.
        for each in manifests.configs(stack):
            self._cluster.apply(each)
        runner = KubernetesJobs(self._cluster, stack, jobs_)
        return jobs.run(runner, jobs_, timeout, guard, answer)

    def _sign_in(self) -> None:
        """Give the cluster the login to the registry."""
        if self._auth:
            self._cluster.apply(secrets.login(self._stack, self._auth))

    def clear_jobs(self) -> None:
        clear(self._cluster, self._stack)

    def remove_services(self, names: Sequence[str]) -> None:
        inventory.remove_services(self._cluster, self._stack, {*names})

    def tidy(self, used: Collection[str]) -> None:
        older = [name for versions in self.secrets().values() for name in versions[1:]]
        self._secrets.remove([name for name in older if name not in used])
        chosen = {**naming.labels(self._stack), naming.KIND: "config"}
        for each in self._cluster.list("ConfigMap", chosen):
            if each["metadata"]["annotations"][naming.VERSION] not in used:
                self._cluster.delete("ConfigMap", each["metadata"]["name"])

    def tidy_images(self, repository: str, keep: Collection[str]) -> list[str]:
        return []

    def remove(self, volumes: bool) -> list[str]:
        return teardown.remove(self._cluster, self._stack, volumes)
