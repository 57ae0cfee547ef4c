"""A service's state is judged from its workload, its versions and its pods."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.lib.orchestrators.kubernetes import naming, observation, pod_status
from tasks.lib.orchestrators.kubernetes.observation import HASH, REVISION, judge

RUNS = {"state": {"running": {"startedAt": "now"}}, "restartCount": 0}


def deployment(generation: int = 2, seen: int = 2, replicas: int = 2) -> dict[str, Any]:
    """A Deployment, whose newest version is the second."""
    return {
        "metadata": {
            "uid": "d",
            "generation": generation,
            "annotations": {REVISION: "2", "deploy.release": "7", "deploy.history": "there"},
        },
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"labels": {}},
                "spec": {"containers": [{"name": "app", "image": "app@sha256:2"}]},
            },
        },
        "status": {"observedGeneration": seen},
    }


def version(uid: str, revision: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    """A ReplicaSet."""
    owners = [{"uid": "d"}]
    meta = {"uid": uid, "ownerReferences": owners, "annotations": {REVISION: revision}}
    return {"metadata": {**meta, "labels": {}}, "status": {"conditions": [*conditions]}}


SETS = [version("r1", "1"), version("r2", "2")]


def pod(uid: str, owner: str = "r2", ready: bool = True, **container: Any) -> dict[str, Any]:
    """A pod, with what is said of its container."""
    return {
        "metadata": {
            "uid": uid,
            "name": f"app-{uid}",
            "labels": {naming.SERVICE: "app"},
            "ownerReferences": [{"uid": owner}],
        },
        "spec": {"nodeName": "node1"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{**RUNS, **container}],
        },
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """What is said of a container that waits."""
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    """What is said of a container that has ended."""
    return {"state": {"terminated": {"exitCode": code, "reason": reason}}}


def state(*pods: dict[str, Any], **more: Any) -> Any:
    """The state of the service."""
    before = more.pop("before", set())
    back = more.pop("going_back", False)
    return judge("app", deployment(**more), SETS, pods, before, back)


def managed(manager: str, *fields: str, **more: str) -> dict[str, Any]:
    """What the cluster notes of a manager of fields."""
    known = {"manager": manager, "operation": "Update", "time": "2026-11-27T10:00:00Z", **more}
    return {**known, "fieldsV1": {f"f:{name}": {} for name in fields}}


def test_who_else_has_set_values_is_named_with_the_time():
    given = deployment()
    assert observation.changed(given) == ""
    given["metadata"]["managedFields"] = [
        managed("inv", "spec", "metadata"),
        managed("kube-controller-manager", "status", "metadata", subresource="status"),
        managed("kubectl-edit", "spec"),
        managed("kubectl", "spec", subresource="scale", time="2026-11-27T11:00:00Z"),
    ]
    others = "kubectl-edit at 2026-11-27T10:00:00Z, kubectl at 2026-11-27T11:00:00Z"
    assert observation.changed(given) == others
    assert observation.observed("app", given, SETS, [pod("a")]).changed == others


def test_all_replicas_of_the_newest_version_and_no_others_are_done():
    assert state(pod("a"), pod("b")).done
    assert not state(pod("a")).done
    assert not state(pod("a"), pod("b", ready=False)).done
    mixed = state(pod("a"), pod("b"), pod("c", owner="r1"))
    assert (mixed.healthy, mixed.old, mixed.done) == (2, 1, False)


def test_a_replica_that_is_stopping_counts_no_more():
    stopping = pod("c", owner="r1")
    stopping["metadata"]["deletionTimestamp"] = "now"
    assert state(pod("a"), pod("b"), stopping).done


def test_nothing_is_done_before_the_controller_has_seen_the_change():
    before = state(pod("a"), pod("b"), seen=1)
    assert (before.healthy, before.old, before.done) == (0, 2, False)


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (waiting("CrashLoopBackOff", "back-off 10s"), "CrashLoopBackOff: back-off 10s"),
        (waiting("CreateContainerConfigError", 'secret "x" not found'), 'secret "x" not found'),
        (waiting("ImagePullBackOff", "Back-off: app@sha256:2: not found"), "not found"),
        (waiting("ErrImagePull", "pull access denied, insufficient_scope"), "denied"),
        (ended(7), "failed: exit (7)"),
        (ended(137, "OOMKilled"), "failed: OOMKilled exit (137)"),
        (ended(0, "Completed"), "")
    ],
)  # fmt: skip
def test_what_will_not_get_better_is_a_failure_at_once(container, reason):
    failed = state(pod("a"), pod("b", ready=False, **container)).failed
    assert reason in failed.reason if reason else failed is None
    if failed:
        assert failed.reason.startswith("replica app-b ")
        assert failed.handle["metadata"]["uid"] == "b"


@pytest.mark.parametrize("message", ["dial tcp: i/o timeout", "502 Bad Gateway"])
def test_a_registry_that_is_away_for_a_moment_is_waited_for(message):
    found = state(pod("a"), pod("b", ready=False, **waiting("ErrImagePull", message)))
    assert found.failed is None
    assert found.waits == message


def test_a_replica_that_was_restarted_has_failed_however_it_runs_now():
    again = {"restartCount": 1, "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}
    assert "exit (3)" in state(pod("a"), pod("b", **again)).failed.reason
    # One that exits with 0 must not have ended, either.
    zero = {"restartCount": 1, "lastState": {"terminated": {"exitCode": 0}}}
    assert "exit (0)" in state(pod("a"), pod("b", **zero)).failed.reason


def test_what_failed_before_the_rollout_is_no_failure_of_it():
    assert state(pod("a"), pod("b"), pod("c", "r1", **ended(1)), before={"c"}).failed is None


def test_in_an_undo_replicas_of_the_version_that_goes_may_fail():
    bad = pod("c", "r1", **ended(1))
    assert state(pod("a"), pod("b"), bad).failed
    assert state(pod("a"), pod("b"), bad, going_back=True).failed is None


def test_a_pod_that_was_evicted_says_why():
    gone = pod("b", ready=False)
    gone["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "low on storage"}
    assert "Evicted low on storage" in state(pod("a"), gone).failed.reason


def test_pods_that_the_cluster_does_not_make_are_told_from_those_that_come():
    full = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
    found = judge("app", deployment(), [SETS[0], version("r2", "2", full)], [], set())
    assert found.given_up == "exceeded quota: pods"
    # That of an older version is of no interest.
    found = judge("app", deployment(), [version("r1", "1", full), SETS[1]], [pod("a")], set())
    assert found.given_up == ""


def test_a_pod_that_fits_on_no_node_says_why_it_waits():
    unplaced = pod("b", ready=False)
    unplaced["status"] |= {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: memory"}],
        "containerStatuses": [],
    }
    found = state(pod("a"), unplaced)
    assert (found.waits, found.starting) == ("0/3 nodes: memory", 1)


def test_a_container_that_starts_before_may_end_but_not_fail():
    laid = pod("b")
    laid["status"]["initContainerStatuses"] = [ended(0, "Completed")]
    assert state(pod("a"), laid).done
    laid["status"]["initContainerStatuses"] = [ended(2)]
    assert "exit (2)" in state(pod("a"), laid).failed.reason


def test_of_a_statefulset_the_hash_of_the_version_tells():
    made = deployment(replicas=1)
    made["spec"]["serviceName"] = "db"
    made["status"]["updateRevision"] = "db-2"
    one = pod("a", owner="d")
    one["metadata"]["labels"][HASH] = "db-1"
    assert judge("app", made, [], [one], set()).old == 1
    one["metadata"]["labels"][HASH] = "db-2"
    assert judge("app", made, [], [one], set()).done


def test_a_pod_that_keeps_its_statefulset_from_the_corrected_version_is_in_the_way():
    made = deployment(replicas=1)
    made["spec"]["serviceName"] = "db"
    made["status"]["updateRevision"] = "db-2"

    def way(version: str, **container: Any) -> list[str]:
        one = pod("a", owner="d", ready=False, **container)
        one["metadata"]["labels"][HASH] = version
        return observation.stuck(made, [one, pod("other", owner="r1", **ended(1))])

    assert way("db-1", **waiting("ImagePullBackOff", "not found")) == ["app-a"]
    assert way("db-1", **ended(1)) == ["app-a"]
    # It may only be slow, or is what is wanted, or its controller has not read the change yet.
    assert way("db-1") == way("db-2", **ended(1)) == []
    made["status"]["observedGeneration"] = 1
    assert way("db-1", **ended(1)) == []
    assert observation.stuck(deployment(), [pod("a", "d", ready=False, **ended(1))]) == []


def test_a_job_is_done_with_its_own_container_whatever_else_runs_in_its_pod():
    made = pod("a", name="migrate", **ended(0, "Completed"))
    made["status"]["containerStatuses"].append({**RUNS, "name": "mesh"})
    assert pod_status.is_done(made, "migrate")
    assert not pod_status.is_done(made, "mesh")
    assert not pod_status.is_done(pod("a", name="migrate", **ended(3)), "migrate")
    assert not pod_status.is_done({"status": {}}, "migrate")


def test_a_service_says_its_release_and_its_nodes():
    found = observation.observed("app", deployment(), SETS, [pod("a"), pod("b", **ended(1))])
    assert (found.release, found.history) == ("7", "there")
    assert (found.image, found.nodes) == ("app@sha256:2", ["node1"])
    assert found.progress.failed is None
