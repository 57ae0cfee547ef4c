"""What tests and measurements stand on: no variable leaks in, a wait ends, a run tells its end."""

from __future__ import annotations

import re
import sys
import time

import pytest

from bench.replay import Recorded, replaying
from tests.testbed.clients import Clients
from tests.testbed.commands import ROOT, environment, free_port, output, page, until, works
from tests.testbed.runs import Run
from tests.testbed.sweep import cache_records

# Of a test that CI leaves out, and of one that is not among the quick ones.
SLOW = "@pytest.mark.engine\n@pytest.mark.slow\n"
MARKS = re.compile(
    r"^pytestmark = pytest\.mark\.(engine|browser)$|@pytest\.mark\.(engine|browser)$", re.M
)


@pytest.mark.parametrize(
    "name", ["CI", "CI_REGISTRY", "GITHUB_SHA", "INVOKE_DEV_PORT", "SSH_PRIVATE_KEY", "FAULTS"]
)
def test_a_variable_of_another_lab_or_ci_does_not_leak_in(monkeypatch, name):
    monkeypatch.setenv(name, "foreign")
    assert name not in environment()
    assert environment(**{name: "given"})[name] == "given"


def test_ci_runs_each_test_that_needs_an_engine_or_a_browser():
    paths = re.findall(r"--path (\S+)", (ROOT / ".ci/run").read_text())
    assert paths
    files = (each.relative_to(ROOT) for each in (ROOT / "tests").rglob("test_*.py"))
    texts = {each: (ROOT / each).read_text().replace(SLOW, "") for each in files}
    real = [each for each, text in texts.items() if MARKS.search(text)]
    assert [str(each) for each in real if not any(map(each.is_relative_to, paths))] == []


def test_a_condition_that_never_holds_ends_the_wait():
    with pytest.raises(TimeoutError, match="not within"):
        until(works(lambda: output(["false"])), 0.1)


def test_a_command_that_fails_is_told_with_what_it_said():
    with pytest.raises(RuntimeError, match="ended with 3: no way"):
        output(["sh", "-c", "echo no way >&2; exit 3"])


def test_a_run_tells_its_lines_and_its_very_end():
    run = Run([sys.executable, "-c", "print('one'); print('two')"], ROOT).succeed()
    assert run.text == "one\ntwo"
    assert run.began < run.at("two") <= time.time() and run.began < run.ended <= time.time()


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


def test_what_a_target_answered_goes_on_at_its_end():
    one = Recorded(
        [f'# TYPE a counter\na{{b="c d"}} {n}\nup {n % 4}\nold 1.5\n' for n in (3, 4, 8)]
    )
    texts = [one.text(number) for number in range(7)]
    assert texts[1] == '# TYPE a counter\na{b="c d"} 4\nup 0\nold 1.5\n'
    rows = [dict(line.rsplit(" ", 1) for line in text.splitlines()[1:]) for text in texts]
    assert [each['a{b="c d"}'] for each in rows] == ["3", "4", "8", "8", "9", "13", "13"]
    assert [each["up"] for each in rows] == ["3", "0", "0", "3", "0", "0", "3"]
    assert {each["old"] for each in rows} == {"1.5"}


def test_what_is_recorded_is_answered_at_each_address():
    port, text = (
        free_port(),
        Recorded(['app_info{release="abc"} 1\n', 'app_info{release="abc"} 2\n']),
    )
    kinds = {"127.99.0.1": "app/one", "127.99.0.2": "app/two"}
    with replaying({"app": text}, kinds, port):
        urls = [
            f"http://{each}:{port}/metrics" for each in ("127.99.0.1", "127.99.0.1", "127.99.0.2")
        ]
        assert [page(url) for url in urls] == [
            'app_info{release="one"} 1\n', 'app_info{release="one"} 2\n',
            'app_info{release="two"} 1\n',
        ]  # fmt: skip
    assert page(urls[0]) == ""
