"""The state of a pod, judged from what the cluster says of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..status import Failure

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
