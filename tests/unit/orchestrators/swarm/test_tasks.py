"""How docker's list of tasks is read."""

from __future__ import annotations

import json

from tasks.lib.orchestrators.swarm import tasks


def test_what_is_on_its_way_is_listed_alike_and_an_error_may_have_lines():
    shown = (
        't1\tRunning\tPreparing 2 seconds ago\t""\n'
        't2\tRunning\tRunning less than a second ago\t""\n'
        't3\tShutdown\tFailed 5 seconds ago\t"\\"one\\n\\ttwo\\""\n'
    )
    found = tasks.listing(shown)
    assert found["t1"] == tasks.Listed("Running", "", '""')
    assert found["t2"].state == "Running"
    assert (found["t3"].meant, found["t3"].state) == ("Shutdown", "Failed")
    assert json.loads(found["t3"].error) == '"one\n\ttwo"'
    assert tasks.listing(shown.replace("Preparing 2", "Starting 9")) == found
