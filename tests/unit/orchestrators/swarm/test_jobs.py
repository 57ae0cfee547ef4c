"""When a one-off job has ended, and why it failed."""

from __future__ import annotations

from typing import Any

from tasks.lib.orchestrators.jobs import reason
from tasks.lib.orchestrators.swarm import jobs


def task(ident: str, state: str = "running", desired: str = "running", **status: Any):
    return {"ID": ident, "DesiredState": desired, "Status": {"State": state, **status}}


def test_a_job_has_ended_when_every_task_is_complete():
    done = [task("1", state="complete"), task("2", state="complete")]
    assert jobs.verdict(done) == (True, "")
    assert jobs.verdict([done[0], task("2")]) == (False, "")
    assert jobs.verdict([]) == (False, "")


def test_a_failed_job_says_why_in_its_last_line_but_for_details():
    lines = [
        "Traceback:",
        "Error: null value in column",
        "DETAIL:  Failing row",
        "LINE 1: a",
        " ^",
        "",
    ]
    assert reason(lines) == "Error: null value in column"
    assert reason([]) == ""


def test_a_job_has_failed_when_one_task_has():
    bad = task("1", state="failed", Err="task: non-zero exit (3)")
    assert jobs.verdict([bad]) == (True, "failed: task: non-zero exit (3)")


def test_a_job_has_failed_when_its_server_is_gone():
    gone = task("1", desired="shutdown")
    assert jobs.verdict([gone]) == (True, "failed: its server went away")
