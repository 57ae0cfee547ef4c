"""Programs that are run as a chain: whoever of them fails, all of it has failed."""

from __future__ import annotations

import io
import os

import pytest

WRITES = ("sh", "-c", "echo half; echo 'writer: error: no more' >&2; exit 3")
KILLED = ("sh", "-c", "echo half; kill -9 $$")
COPIES = ("cat",)
FAILS = ("sh", "-c", "cat >/dev/null; echo 'last line' >&2; exit 1")
STOPS = ("sh", "-c", "head -c 1 >/dev/null; exit 0")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((WRITES, COPIES), "sh failed with status 3: writer: error: no more"),
        ((WRITES, COPIES, COPIES), "status 3"),
        ((KILLED, COPIES), "sh failed with status -9"),
        ((COPIES, FAILS), "status 1: last line"),
    ],
    ids=["the first", "the first of three", "by a signal", "the last"],
)
def test_one_that_fails_fails_the_chain_though_the_others_are_content(tools, tmp_path, words, why):
    programs, file = tools["programs"], tmp_path / "written"
    with pytest.raises(programs.Failed) as caught, programs.chain(*words) as output:
        programs.save(output, file)
    assert why in str(caught.value)


def test_a_reader_that_stops_early_ends_a_writer_that_would_go_on(tools):
    programs = tools["programs"]
    with pytest.raises(programs.Failed, match="yes failed with"), programs.chain(("yes",), STOPS):
        pass


def test_all_of_them_end_when_what_reads_them_fails(tools):
    programs = tools["programs"]
    wait = ("sh", "-c", "echo $$; exec sleep 300")
    with pytest.raises(ZeroDivisionError), programs.chain(wait, COPIES) as output:
        first = int(output.readline())
        raise ZeroDivisionError
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_a_chain_that_succeeds_gives_what_the_last_one_writes(tools, tmp_path):
    programs, said = tools["programs"], []
    words = ("sh", "-c", "echo hello; echo more >&2")
    with programs.chain(words, ("tr", "a-z", "A-Z"), said=said) as output:
        found = programs.save(output, tmp_path / "written")
    assert (tmp_path / "written").read_bytes() == b"HELLO\n"
    assert found["size"] == 6
    assert said == ["more\n", ""]


def test_a_disk_that_takes_no_more_is_one_line(tools, tmp_path):
    programs = tools["programs"]
    (tmp_path / "there").write_text("older")
    with pytest.raises(programs.Failed, match="there: File exists"):
        programs.save(io.BytesIO(b"more"), tmp_path / "there")
