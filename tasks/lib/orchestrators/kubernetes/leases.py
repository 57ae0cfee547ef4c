"""The lock of a stack: one Lease of its namespace, which only one of several writers replaces."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ...kubernetes.client import Cluster
from ..status import Lease
from . import naming

# The objects of the lock, and of the queue for it.
LOCK, QUEUE = "deploy-lock", "deploy-queue"
# How long others wait, for people who look at the object: see environments.lock.
SECONDS = 45


class Leases:
    """The leases of a stack: each is a version of the same object, with a number and a text."""

    def __init__(self, cluster: Cluster, stack: str, name: str = LOCK) -> None:
        self._cluster, self._stack, self._name = cluster, stack, name

    def newest(self) -> Lease | None:
        """Return the newest lease; see base.Orchestrator.lease."""
        found = self._cluster.get("Lease", self._name)
        if not (lease := _read(found)):
            return None
        return replace(lease, age=age(found or {}, self._cluster.clock))

    def take(self, former: Lease | None, text: str) -> Lease | None:
        """Make the lease after another one; see base.Orchestrator.take_lease."""
        found = self._cluster.get("Lease", self._name)
        before = _read(found)
        made = Lease(former.number + 1 if former else 1, text)
        if before == made or self._cluster.dry:
            return made
        if before != former:
            return None
        return made if self._write(found, made.number, text) else self._ours(made)

    def _ours(self, made: Lease) -> Lease | None:
        """Return a lease if it was made nevertheless: its answer may have been lost."""
        return made if _read(self._cluster.get("Lease", self._name)) == made else None

    def drop(self, text: str) -> None:
        """End the lease, if it has this text; see base.Orchestrator.drop_lease."""
        found = self._cluster.get("Lease", self._name)
        if (lease := _read(found)) and lease.text == text:
            self._write(found, lease.number, "")

    def _write(self, found: Any, number: int, text: str) -> bool:
        """Write the object, unless another one has since it was read."""
        meta = naming.metadata(self._name, self._stack)
        spec: dict[str, Any] = {"leaseTransitions": number, "leaseDurationSeconds": SECONDS}
        spec |= {"holderIdentity": text} if text else {}
        made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
        if not found:
            return self._cluster.create({**made, "metadata": meta}) is not None
        meta["resourceVersion"] = found["metadata"]["resourceVersion"]
        return self._cluster.replace({**made, "metadata": meta}) is not None


def _read(found: Any) -> Lease | None:
    """Return the lease that the object has; None if it is free."""
    spec = (found or {}).get("spec") or {}
    text = spec.get("holderIdentity")
    return Lease(spec.get("leaseTransitions", 0), text) if text else None


def age(found: Any, clock: str) -> float:
    """Return the seconds since an object was last written, by the cluster's own clock."""
    times = [each["time"] for each in found["metadata"].get("managedFields", []) if "time" in each]
    written = max((datetime.fromisoformat(str(time)) for time in times), default=None)
    return (parsedate_to_datetime(clock) - written).total_seconds() if written and clock else 0
