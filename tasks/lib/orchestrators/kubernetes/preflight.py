"""What must hold in a cluster before a deploy; nothing is changed."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ... import console
from ...kubernetes.client import Cluster
from ...kubernetes.requests import DENIED, ClusterError, unless
from ..stack import Stack
from . import (
    inventory,
    manifests,
    metrics,
    namespace,
    naming,
    quota,
    rights,
    scaling,
    secrets,
)
from .place import Place

Object = dict[str, Any]
# The first version that sleeps before it stops a container, and has other things that pods use.
OLDEST = (1, 30)
# Seconds by which two clocks may differ, and the days that a certificate must still be good for.
APART, DAYS = 60, 14
DEFAULT = "storageclass.kubernetes.io/is-default-class"
# The kinds that a Gateway, or an autoscaler, needs.
ROUTES, METRICS = "gateway.networking.k8s.io/v1", "metrics.k8s.io/v1beta1"
# Controllers that are maintained no more.
RETIRED = {"k8s.io/ingress-nginx": "ingress-nginx, which was retired in March 2026"}


def problems(cluster: Cluster, place: Place, auth: str, setup: str) -> list[str]:
    """Return what is wrong with a cluster, a namespace, the rights or the login, a line each.

    Args:
        auth: the login with which the cluster pulls images.
        setup: the command that makes the namespace.
    """
    if namespace.absent(cluster):
        return [f"{cluster.name}: there is no such namespace - {setup}"]
    _warn(cluster)
    found = [*_version(cluster), *_ingress(cluster, place.ingress), *_gateway(cluster, place)]
    found += [*_measured(cluster, place), *secrets.problems(auth)]
    return [*found, *rights.problems(cluster, place)]


def _version(cluster: Cluster) -> Iterator[str]:
    text = cluster.version()
    numbers = re.match(r"v(\d+)\.(\d+)", text)
    if numbers and tuple(map(int, numbers.groups())) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield f"{cluster.name}: Kubernetes {text} is too old - upgrade it to {wanted} or later"


def _ingress(cluster: Cluster, wanted: str) -> Iterator[str]:
    """Yield the problem with the class of an Ingress, if classes may be listed."""
    known = unless(DENIED, lambda: cluster.list("IngressClass", {})) if wanted else None
    if known is None:
        return
    named = {each["metadata"]["name"]: each["spec"].get("controller", "") for each in known}
    if wanted not in named:
        hint = f"known: {', '.join(sorted(named)) or 'none'}"
        yield f"{cluster.name}: no ingress class {wanted} - {hint}"
    elif named[wanted] in RETIRED:
        hint = "move to another ingress class, or use `gateway`"
        console.warn(f"the ingress class {wanted} is of {RETIRED[named[wanted]]} - {hint}")


def _gateway(cluster: Cluster, place: Place) -> Iterator[str]:
    """Yield the problem with routes; warn of an autoscaler that would learn nothing."""
    if place.gateway and not cluster.serves(ROUTES):
        yield f"{cluster.name}: the cluster has no Gateway API ({ROUTES}) - use `ingress`"
    if place.scaling and not cluster.serves(METRICS):
        what = f"{cluster.name}: no metrics ({METRICS}), so that nothing is scaled"
        console.warn(f"{what} - the cluster needs metrics-server")


def _measured(cluster: Cluster, place: Place) -> Iterator[str]:
    """Yield the problem with a PodMonitor; warn of a Prometheus that is not there."""
    if place.podmonitor and not cluster.serves(metrics.OPERATOR):
        hint = "remove kubernetes.podmonitor, or install the Prometheus operator"
        yield f"{cluster.name}: the cluster has no PodMonitor ({metrics.OPERATOR}) - {hint}"
    if place.prometheus and namespace.absent(cluster, place.prometheus):
        console.warn(f"kubernetes.prometheus: there is no namespace {place.prometheus} yet")


def _warn(cluster: Cluster) -> None:
    """Warn of a clock that is wrong, and of a certificate that ends soon."""
    apart = (datetime.now(UTC) - parsedate_to_datetime(cluster.clock)).total_seconds()
    if abs(apart) > APART:
        what = f"the clocks of this machine and of the cluster are {abs(apart):.0f} s apart"
        console.warn(f"{what} - set the wrong one by NTP")
    if (ends := certificate_end(cluster)) and (days := (ends - datetime.now(UTC)).days) < DAYS:
        what = f"the certificate of context {cluster.access.context} ends in {days} days"
        console.warn(f"{what} - ask who runs the cluster for a new one")


def certificate_end(cluster: Cluster) -> datetime | None:
    """Return when the user's certificate ends; None without one."""
    if not (text := cluster.access.user.get("client-certificate-data")):
        return None
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(b64decode(text)).not_valid_after_utc


def misfits(cluster: Cluster, place: Place, stack: Stack) -> list[str]:
    """Return what others have, and what the cluster would refuse, asked without making any."""
    made = manifests.objects(stack, place)
    if found := [*scaling.problems(stack, place), *namespace.foreign(cluster, made, stack.name)]:
        return found
    works = [each for each in made if each["kind"] in inventory.WORKLOADS]
    with ThreadPoolExecutor(8) as pool:
        refused = pool.map(lambda each: _refusal(cluster, each), [*made, *map(_pod, works)])
        found = [line for line in refused if line]
    claims = [each for each in made if each["kind"] == inventory.DATA]
    return [*dict.fromkeys(found), *_storage(cluster, claims), *_room(cluster, works, stack.name)]


def _pod(workload: Object) -> Object:
    """Return a pod of a workload: only pods are asked whether they fit the namespace's profile."""
    meta, template = workload["metadata"], workload["spec"]["template"]
    named = {"name": f"try-{meta['name']}", "namespace": meta["namespace"]}
    # No Service may take it for one of its own.
    labels = {naming.MANAGER: naming.OURS}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**named, "labels": labels},
        "spec": template["spec"],
    }


def _refusal(cluster: Cluster, made: Object) -> str:
    """Return why the cluster would refuse an object; empty if it would not."""
    try:
        if made["kind"] == "Pod":
            cluster.create(made, dry=True)
        else:
            cluster.apply(made, dry=True)
    except ClusterError as error:
        return f"{made['kind']} {made['metadata']['name']}: {error.reason}"
    return ""


def _storage(cluster: Cluster, claims: Sequence[Object]) -> Iterator[str]:
    """Yield each storage class that is missing, if classes may be listed."""
    known = unless(DENIED, lambda: cluster.list("StorageClass", {}))
    there = {each["metadata"]["name"] for each in cluster.list(inventory.DATA, {})}
    if known is None:
        return
    names = {each["metadata"]["name"] for each in known}
    default = any(_is_default(each) for each in known)
    for claim in claims:
        name, wanted = claim["metadata"]["name"], claim["spec"].get("storageClassName", "")
        if name not in there and (wanted not in names if wanted else not default):
            what = f"no storage class {wanted}" if wanted else "no default storage class"
            hint = f"set STORAGE_CLASS in `values`; known: {', '.join(sorted(names)) or 'none'}"
            yield f"{cluster.name}: {what} for the volume {name} - {hint}"


def _is_default(each: Object) -> bool:
    return (each["metadata"].get("annotations") or {}).get(DEFAULT) == "true"


def _room(cluster: Cluster, works: Sequence[Object], stack: str) -> Iterator[str]:
    """Yield each quota that has no room for the rollout, if quotas may be listed."""
    quotas = unless(DENIED, lambda: cluster.list("ResourceQuota", {}))
    running: Collection[str] = inventory.look(cluster, stack).workloads
    for line in quota.problems(quotas or [], works, running):
        yield f"{cluster.name}: {line}"
