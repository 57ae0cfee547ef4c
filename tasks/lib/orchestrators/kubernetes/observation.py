"""The state of a service, judged from its workload and the pods of that. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...kubernetes.client import MANAGER
from ..stack import HISTORY, RELEASE
from ..status import Progress, Service
from . import naming
from .pod_status import condition, failure, is_ready, waits
from .spec import spec

Object = Mapping[str, Any]
# A Deployment writes there which of its ReplicaSets is the newest one.
REVISION = "deployment.kubernetes.io/revision"
HASH = "controller-revision-hash"


def observed(
    name: str, workload: Object, sets: Sequence[Object], pods: Sequence[Object]
) -> Service:
    """Return a service as it runs."""
    notes = workload["metadata"].get("annotations") or {}
    progress = judge(name, workload, sets, pods, {each["metadata"]["uid"] for each in pods})
    running = [each for each in pods if each["status"].get("phase") == "Running"]
    nodes = sorted({each["spec"]["nodeName"] for each in running})
    release, history = notes.get(RELEASE, ""), notes.get(HISTORY, "")
    given, others = spec(workload), changed(workload)
    return Service(name, image(workload), release, progress, history, nodes, given, others)


def changed(workload: Object) -> str:
    """Return who else has set values of a workload's spec, and when; empty if nothing else has."""
    known = workload["metadata"].get("managedFields") or []
    others = [each for each in known if each.get("manager") != MANAGER]
    mine = [each for each in others if "f:spec" in (each.get("fieldsV1") or {})]
    return ", ".join(f"{each.get('manager')} at {each.get('time')}" for each in mine)


def image(workload: Object) -> str:
    """Return the image of a workload's pods."""
    return str(workload["spec"]["template"]["spec"]["containers"][0]["image"])


def judge(
    name: str,
    workload: Object,
    sets: Sequence[Object],
    pods: Sequence[Object],
    before: set[str],
    going_back: bool = False,
) -> Progress:
    """Return the state of a service.

    Args:
        before: the UIDs of the pods that were there already: their restarts are no failures.
        going_back: it is an undo, in which the pods that go may fail.
    """
    wanted = int(workload["spec"].get("replicas", 1))
    mine = [each for each in pods if each["metadata"]["labels"].get(naming.SERVICE) == name]
    meant = [each for each in mine if not each["metadata"].get("deletionTimestamp")]
    if not is_seen(workload):
        # The controller has not read it yet: none of the pods is of what it says now.
        return Progress(name, wanted, 0, old=len(meant))
    current = newest(workload, sets)
    new = [each for each in meant if is_of(each, current)]
    healthy = [each for each in new if is_ready(each)]
    blamed = new if going_back else meant
    failed = (failure(each) for each in blamed if each["metadata"]["uid"] not in before)
    return Progress(
        name,
        wanted,
        healthy=len(healthy),
        starting=len(new) - len(healthy),
        old=len(meant) - len(new),
        failed=next(filter(None, failed), None),
        given_up=refused(workload, sets, current),
        waits=next(filter(None, map(waits, new)), ""),
    )


def is_seen(workload: Object) -> bool:
    """Return whether its controller has seen it as it is now."""
    seen = (workload.get("status") or {}).get("observedGeneration", 0)
    return int(seen) >= int(workload["metadata"].get("generation", 0))


def newest(workload: Object, sets: Sequence[Object]) -> str:
    """Return what the pods of the newest version are known by: a ReplicaSet's UID, or a hash."""
    if "serviceName" in workload["spec"]:
        return str((workload.get("status") or {}).get("updateRevision", ""))
    revision = (workload["metadata"].get("annotations") or {}).get(REVISION)
    mine = [each for each in sets if is_of(each, workload["metadata"]["uid"])]
    noted = (each for each in mine if each["metadata"]["annotations"].get(REVISION) == revision)
    return next((each["metadata"]["uid"] for each in noted), "")


def is_of(each: Object, owner: str) -> bool:
    """Return whether something was made by an owner, or has the hash of a version."""
    owners = {known["uid"] for known in each["metadata"].get("ownerReferences") or []}
    return bool(owner) and owner in {*owners, each["metadata"]["labels"].get(HASH)}


def stuck(workload: Object, pods: Sequence[Object]) -> list[str]:
    """Return the pods of an older version that keep a StatefulSet from making the new one.

    It waits for each of them to become ready, though its template has been corrected:
    https://github.com/kubernetes/kubernetes/issues/67250
    """
    if "serviceName" not in workload["spec"] or not is_seen(workload):
        return []
    current, owner = newest(workload, ()), workload["metadata"]["uid"]
    old = [each for each in pods if is_of(each, owner) and current and not is_of(each, current)]
    waiting = [each for each in old if not each["metadata"].get("deletionTimestamp")]
    return [each["metadata"]["name"] for each in waiting if failure(each) or waits(each)]


def refused(workload: Object, sets: Sequence[Object], current: str) -> str:
    """Return why the cluster makes no pods of the newest version; empty if it does."""
    owners = [each for each in sets if each["metadata"]["uid"] == current] or [workload]
    found = (condition(each, "ReplicaFailure") for each in owners)
    return next((each.get("message", "") for each in found if each.get("status") == "True"), "")
