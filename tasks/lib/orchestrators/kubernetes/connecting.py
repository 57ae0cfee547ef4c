"""The connection to an environment's namespace, in the very cluster that it was deployed to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from invoke import Context

from ...errors import ExitCode, TaskError
from ...kubernetes import kubeconfig
from ...kubernetes.client import Cluster
from ...kubernetes.requests import DENIED, unless
from ...project import requirements
from ...project.places import Environment, Kubernetes
from ..base import Orchestrator
from .orchestrator import KubernetesOrchestrator
from .place import Place

# The namespace whose UID is that of its cluster: it is made with it, and nobody removes it.
SYSTEM = "kube-system"


@contextmanager
def reach(
    ctx: Context,
    environment: Environment,
    stack: str,
    auth: str,
    setup: str,
    env: Mapping[str, str],
) -> Iterator[Orchestrator]:
    """Connect to the namespace of a stack. Raises TaskError if it is not in the cluster meant.

    Args:
        auth: the login with which the cluster pulls images (Login.header); empty without one.
        setup: the command that sets the environment up, for messages.
        env: has KUBECONFIG.
    """
    requirements.install(ctx, "kubernetes")
    chosen, run = environment.kubernetes, ctx.config.run
    access = kubeconfig.access(chosen.context, env)
    cluster = Cluster(access, chosen.namespace or stack, run.echo, run.dry)
    try:
        require(cluster, chosen.cluster)
        place = placed(chosen, cluster.namespace, environment.url)
        yield KubernetesOrchestrator(cluster, stack, place, auth, setup)
    finally:
        cluster.close()


def placed(chosen: Kubernetes, namespace: str, url: str) -> Place:
    """Return how requests reach a stack: by an Ingress, a Gateway, or an open Service."""
    service = chosen.service
    if service == "auto":
        service = "ClusterIP" if chosen.ingress or chosen.gateway else "LoadBalancer"
    return Place(
        namespace, url, service, chosen.port, chosen.externaltraffic, chosen.ingress,
        chosen.gateway, chosen.wildcard, chosen.scaling, chosen.prometheus, chosen.podmonitor,
    )  # fmt: skip


def require(cluster: Cluster, wanted: str) -> None:
    """Raise TaskError unless a cluster, or the namespace in it, has the UID that is wanted."""
    context = f"context {cluster.access.context}"
    found = [uid for name in (SYSTEM, cluster.namespace) if (uid := _uid(cluster, name))]
    if wanted in found:
        return
    if not found:
        what = f"{context}: the user may read neither the namespace {SYSTEM} nor its own one"
        hint = "let the user get one of them: its UID says which cluster this is"
    elif wanted:
        what = f"{context} leads to the cluster {found[0]}, and not to {wanted}"
        hint = "correct the kubeconfig; if it is a new cluster, kubernetes.cluster in invoke.yaml"
    else:
        what = f"{context} leads to the cluster {found[0]}, and invoke.yaml names none"
        hint = f"if it is the right one, add `cluster: {found[0]}` to `kubernetes` there"
    raise TaskError(what, hint, ExitCode.REFUSED)


def _uid(cluster: Cluster, name: str) -> str:
    """Return the UID of a namespace; empty if there is none, or the user may not read it."""
    found = unless(DENIED, lambda: cluster.get("Namespace", name))
    return str(found["metadata"]["uid"]) if found else ""
