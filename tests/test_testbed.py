"""What tests and measurements stand on: no variable leaks in, a wait ends, a run tells its end."""

from __future__ import annotations

import sys
import time

import pytest

from tests.testbed.clients import Clients
from tests.testbed.commands import ROOT, environment, output, until, works
from tests.testbed.runs import Run
from tests.testbed.sweep import cache_records


@pytest.mark.parametrize(
    "name", ["CI", "CI_REGISTRY", "GITHUB_SHA", "INVOKE_DEV_PORT", "SSH_PRIVATE_KEY", "FAULTS"]
)
def test_a_variable_of_another_lab_or_ci_does_not_leak_in(monkeypatch, name):
    monkeypatch.setenv(name, "foreign")
    assert name not in environment()
    assert environment(**{name: "given"})[name] == "given"


def test_a_condition_that_never_holds_ends_the_wait():
    with pytest.raises(TimeoutError, match="not within"):
        until(works(lambda: output(["false"])), 0.1)


def test_a_command_that_fails_is_told_with_what_it_said():
    with pytest.raises(RuntimeError, match="ended with 3: no way"):
        output(["sh", "-c", "echo no way >&2; exit 3"])


def test_a_run_tells_its_lines_and_its_very_end():
    run = Run([sys.executable, "-c", "print('one'); print('two')"], ROOT).succeed()
    assert run.text == "one\ntwo"
    assert run.began < run.at("two") <= run.ended <= time.time()


def test_a_run_that_is_ended_leaves_nothing_running():
    run = Run(["sh", "-c", "sleep 61 & echo up; wait"], ROOT)
    run.until("up")
    run.end()
    assert run.status != 0


def test_a_version_serves_from_when_nothing_else_answers():
    clients = Clients("http://127.0.0.1:1", count=0)
    clients.seen += [(time.time() + second, version) for second, version in enumerate("aabab")]
    assert clients.since("a") == 0
    assert clients.since("b") == clients.seen[-1][0]


def test_a_cache_record_that_builds_on_a_marked_one_goes_first():
    listing = "ID: a\nDescription: RUN : mark\n\nID: b\nParent: a\n\nID: c\nParents: b, d\n\nID: d"
    assert cache_records("mark", listing) == ["c", "b", "a"]
