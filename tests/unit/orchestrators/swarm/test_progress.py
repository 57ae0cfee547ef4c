"""How far a rollout is, and when it has failed, from what docker says of services and tasks."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.lib.orchestrators.status import Failure
from tasks.lib.orchestrators.swarm import progress

NEW = {"Image": "app@sha256:new", "StopGracePeriod": progress.GRACE, "DNSConfig": {}}
OLD = {"Image": "app@sha256:old"}
NOTHING = progress.Snapshot(frozenset(), {})


def service(replicas: int = 2, **update: str) -> dict[str, Any]:
    spec = {"Mode": {"Replicated": {"Replicas": replicas}}, "TaskTemplate": {"ContainerSpec": NEW}}
    return {"ID": "s", "Spec": spec, "UpdateStatus": update or None}


def task(
    ident: str, image: str = "new", state: str = "running", desired: str = "running", **status: Any
) -> dict[str, Any]:
    return {
        "ID": ident,
        "ServiceID": "s",
        "Slot": 1,
        "DesiredState": desired,
        "Spec": {"ContainerSpec": {"Image": f"app@sha256:{image}"}},
        "Status": {"State": state, **status},
    }


def judge(*tasks: dict[str, Any], before: progress.Snapshot = NOTHING, **update: str):
    return progress.judge("app", service(**update), tasks, before)


def test_a_service_has_the_labels_that_its_stack_gave_it():
    given = service()
    given["Spec"]["Labels"] = {"alerts.chat": "CHAT_URL_v1", "deploy.release": "3"}
    found = progress.observed("alertmanager", given, [task("1") | {"NodeID": "n1"}])
    assert (found.release, found.nodes) == ("3", ["n1"])
    assert found.labels["alerts.chat"] == "CHAT_URL_v1"


def test_it_is_done_when_every_replica_is_new_and_healthy():
    assert judge(task("1"), task("2")).done


def test_it_is_not_done_while_one_starts():
    found = judge(task("1"), task("2", state="starting"))
    assert not found.done
    assert str(found) == "1/2 healthy, 1 starting"


def test_one_that_swarm_left_twice_does_not_hold_it_up():
    found = judge(task("1"), task("2"), task("3"))
    assert found.done
    assert str(found) == "3/2 healthy"
    assert not judge(task("1"), task("2"), task("3", state="starting")).done


def test_why_one_is_on_no_server_is_told():
    found = judge(task("1"), task("2", state="pending", Err="no suitable node (full)"))
    assert str(found) == "1/2 healthy, 1 starting (no suitable node (full))"


def test_a_replica_that_ends_by_itself_fails_it():
    ended = task("3", state="complete", desired="shutdown", Message="finished")
    found = judge(task("1"), ended)
    assert found.failed == Failure(progress.describe(ended), ended)
    assert progress.describe(ended) == "replica 1 ended (exit code 0)"


def test_it_is_not_done_while_an_old_one_is_meant_to_run():
    found = judge(task("1"), task("2"), task("0", image="old"))
    assert not found.done
    assert str(found) == "2/2 healthy, 1 old"


def test_an_old_one_that_is_shutting_down_does_not_hold_it_up():
    gone = task("0", image="old", desired="shutdown")
    assert judge(task("1"), task("2"), gone).done


def test_a_new_task_that_failed_fails_it():
    bad = task("3", state="failed", desired="shutdown", Err="task: non-zero exit (7)")
    found = judge(task("1"), bad)
    assert found.failed == Failure(progress.describe(bad), bad)
    assert progress.describe(bad) == "replica 1 failed: task: non-zero exit (7)"


def test_a_task_that_had_failed_before_does_not():
    bad = task("3", state="failed", desired="shutdown")
    assert judge(task("1"), bad, before=progress.Snapshot(frozenset({"3"}), {})).failed is None


@pytest.mark.parametrize("state", ["paused", "rollback_started", "rollback_completed"])
def test_swarm_giving_up_fails_it(state):
    assert judge(task("1"), State=state).given_up == state


def test_swarm_having_given_up_an_earlier_update_does_not():
    status = {"State": "rollback_completed", "StartedAt": "1"}
    before = progress.Snapshot(frozenset(), {"app": status})
    assert judge(task("1"), before=before, **status).given_up == ""


def test_going_back_forgives_what_the_version_that_goes_does():
    before = progress.Snapshot(frozenset(), {}, going_back=True)
    bad = task("3", image="old", state="failed", desired="shutdown")
    found = judge(task("1"), task("2"), bad, before=before, State="rollback_completed")
    assert found.failed is None
    assert found.given_up == ""
    assert found.done
    worse = task("4", state="failed", desired="shutdown")
    assert judge(task("1"), worse, before=before).failed == Failure(progress.describe(worse), worse)


def test_the_exit_code_is_told_when_the_words_lack_it():
    status = {"ContainerStatus": {"ExitCode": 137}, "Err": "task: unhealthy container"}
    bad = task("1", state="failed", **status)
    assert progress.describe(bad).endswith("unhealthy container (exit code 137)")


@pytest.mark.parametrize(
    ("why", "passing"),
    [
        ("starting container failed: mount tmpfs:/x: device or resource busy", True),
        ("starting container failed: network sandbox for container 0bd2 not found", True),
        ('starting container failed: exec: "/bad": no such file or directory', False),
        ("task: non-zero exit (7)", False),
    ],
)
def test_what_an_engine_could_not_start_may_pass(why, passing):
    found = judge(task("1", state="failed", Err=why))
    assert found.failed and found.failed.passing is passing
