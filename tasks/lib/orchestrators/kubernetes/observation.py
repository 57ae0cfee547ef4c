"""The state of a service, judged from its workload and the pods of that. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...kubernetes.client import MANAGER
from ..stack import HISTORY, RELEASE
from ..status import Failure, Progress, Service
from . import naming
from .spec import spec

Object = Mapping[str, Any]
# Why a container waits, where waiting does not help: with the first words of the messages that are
# final. Of an image, others may pass: the registry may be away for a moment.
FATAL = {
    "CrashLoopBackOff": ("",),
    "CreateContainerConfigError": ("",),
    "CreateContainerError": ("",),
    "InvalidImageName": ("",),
    "RunContainerError": ("",),
    **dict.fromkeys(
        ("ErrImagePull", "ImagePullBackOff"),
        ("not found", "denied", "unauthorized", "no basic auth", "authorization failed"),
    ),
}
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


def is_ready(pod: Object) -> bool:
    """Return whether a pod can serve."""
    return condition(pod, "Ready").get("status") == "True"


def condition(part: Object, kind: str) -> Object:
    """Return a condition of an object; empty without one."""
    known = (part.get("status") or {}).get("conditions") or []
    return next((each for each in known if each["type"] == kind), {})


def failure(pod: Object) -> Failure | None:
    """Return why a pod has failed; None while it may still become ready."""
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        why = " ".join(filter(None, (status.get("reason"), status.get("message"))))
        ends = [_end(each) for each in _containers(status)]
        return _failure(pod, why or next(filter(None, ends), "failed"))
    for each in _containers(status):
        waiting = (each.get("state") or {}).get("waiting") or {}
        if ended := _end(each):
            return _failure(pod, ended)
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if any(sign in message.lower() for sign in FATAL.get(reason, ())):
            return _failure(pod, f"{reason}: {message}")
    return None


def is_done(pod: Object, name: str) -> bool:
    """Return whether a container has done its work, whatever others of its pod do.

    What a cluster adds to every pod may never end.
    """
    known = (pod.get("status") or {}).get("containerStatuses") or []
    ends = ((each.get("state") or {}).get("terminated") for each in known if each["name"] == name)
    return any(ended and not ended.get("exitCode") for ended in ends)


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


def _containers(status: Object) -> list[Object]:
    kinds = ("initContainerStatuses", "containerStatuses")
    return [each for kind in kinds for each in status.get(kind) or []]


def _end(container: Object) -> str:
    """Return how a container has ended; empty if it runs, or has done what it was for."""
    for key in ("state", "lastState"):
        if ended := (container.get(key) or {}).get("terminated"):
            code, reason = ended.get("exitCode", 0), ended.get("reason", "")
            if code == 0 and (key == "state" or not container.get("restartCount")):
                continue
            known = "" if reason in ("Error", "Completed") else f"{reason} "
            return f"failed: {known}exit ({code})"
    return ""


def _failure(pod: Object, why: str) -> Failure:
    return Failure(f"replica {pod['metadata']['name']} {why}", pod)


def refused(workload: Object, sets: Sequence[Object], current: str) -> str:
    """Return why the cluster makes no pods of the newest version; empty if it does."""
    owners = [each for each in sets if each["metadata"]["uid"] == current] or [workload]
    found = (condition(each, "ReplicaFailure") for each in owners)
    return next((each.get("message", "") for each in found if each.get("status") == "True"), "")


def waits(pod: Object) -> str:
    """Return why a pod is on no node yet, or has no image yet; empty if neither."""
    placed = condition(pod, "PodScheduled")
    if placed.get("status") == "False":
        return str(placed.get("message", ""))
    for each in _containers(pod.get("status") or {}):
        waiting = (each.get("state") or {}).get("waiting") or {}
        if "Image" in waiting.get("reason", ""):
            return str(waiting.get("message") or waiting["reason"])
    return ""
