"""Namespaces of a lab's cluster, which are gone at the end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.lib.kubernetes.client import Cluster
from tasks.lib.kubernetes.kubeconfig import Access

# The context of the cluster's administrator, as kubeadm names it.
CONTEXT = "kubernetes-admin@lab"


@contextmanager
def namespace(access: Access) -> Iterator[Cluster]:
    """A new namespace that only takes pods of the profile "restricted"."""
    cluster = Cluster(access, f"t-{uuid.uuid4().hex[:6]}")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    meta = {"name": cluster.namespace, "labels": labels}
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    try:
        yield cluster
    finally:
        cluster.delete("Namespace", cluster.namespace)
        cluster.close()
