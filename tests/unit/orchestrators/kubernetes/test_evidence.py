"""What is left of a pod that failed."""

from __future__ import annotations

from typing import Any

from tasks.lib.errors import TaskError
from tasks.lib.orchestrators.kubernetes import evidence
from tasks.lib.orchestrators.status import Failure


class Cluster:
    """Has events, and the log of a container and of the one before it."""

    def __init__(self, events: list[dict[str, Any]] | None) -> None:
        self.events = events

    def list(self, kind: str, labels: dict[str, Any]) -> list[dict[str, Any]]:
        """The events."""
        if self.events is None:
            raise TaskError("no answer")
        return self.events

    def log(self, pod: str, container: str, **options: str) -> list[str]:
        """The log of the container that runs, or of the one before."""
        return ["before: boom" if options["previous"] == "true" else "starts"]


def event(reason: str, message: str, kind: str = "Warning", uid: str = "a") -> dict[str, Any]:
    """An event of a pod."""
    involved = {"uid": uid}
    return {"reason": reason, "message": message, "type": kind, "involvedObject": involved}


def pod(restarts: int = 0) -> dict[str, Any]:
    """A pod, whose container was restarted so often."""
    return {
        "metadata": {"name": "app-a", "uid": "a"},
        "spec": {"nodeName": "node1", "containers": [{"name": "app"}]},
        "status": {"containerStatuses": [{"restartCount": restarts}]},
    }


def collected(events: list[dict[str, Any]] | None, restarts: int = 0) -> Any:
    """What is left of the pod."""
    return evidence.collect(Cluster(events), Failure("exit (7)", pod(restarts)))  # type: ignore[arg-type]


def test_the_last_complaint_of_a_probe_and_other_warnings_are_told():
    left = collected([
        event("Unhealthy", "Startup probe failed: refused"),
        event("Pulled", "there already", kind="Normal"),
        event("BackOff", "back-off\n  10 s"),
        event("Unhealthy", "of another pod", uid="b"),
        event("Unhealthy", "Startup probe failed: 503"),
    ])  # fmt: skip
    assert left.node == "node1"
    assert left.health == "Startup probe failed: 503"
    assert left.events == ["BackOff: back-off 10 s"]


def test_the_lines_are_of_the_container_that_failed():
    assert collected([]).lines == ["starts"]
    assert collected([], restarts=1).lines == ["before: boom"]


def test_what_cannot_be_read_keeps_from_nothing():
    left = collected(None)
    assert (left.health, left.events) == ("", [])
    gone = evidence.collect(Cluster([]), Failure("gone"))  # type: ignore[arg-type]
    assert gone.node == "no node" and "they cannot be read" in gone.lines[0]
