"""A workload is made what its manifest says, also where others have added to it.

Server-side apply alone leaves what another manager has set: an added variable would stay for ever.
"""

from __future__ import annotations

import uuid
from typing import Any

from ...kubernetes.client import Cluster
from .spec import spec

Object = dict[str, Any]


def apply(cluster: Cluster, made: Object) -> Object:
    """Apply a workload without what others have added to it; return it as it is then."""
    alone = pristine(cluster, made)
    if spec(cluster.apply(made, dry=True)) != spec(alone):
        _replace(cluster, made, alone)
    return cluster.apply(made)


def pristine(cluster: Cluster, made: Object) -> Object:
    """Return a workload as the cluster would make it of the manifest alone, with all defaults."""
    meta = {**made["metadata"], "name": f"{made['metadata']['name'][:50]}-{uuid.uuid4().hex[:8]}"}
    return cluster.create({**made, "metadata": meta}, dry=True) or {}


def _replace(cluster: Cluster, made: Object, alone: Object) -> None:
    """Replace the whole spec; if it is changed meanwhile, the next deploy notices."""
    if live := cluster.get(made["kind"], made["metadata"]["name"]):
        cluster.replace({**live, "spec": alone["spec"]})
