"""Which backup is meant, who can open it, and what its list says."""

from __future__ import annotations

import base64

import pyrage  # type: ignore[import-untyped]
import pytest

from tasks.lib.data import backups
from tasks.lib.environments import storage
from tasks.lib.errors import ExitCode, TaskError

NAMES = ("20261126T140305Z", "20261126T030000Z", "20261125T030000Z")


@pytest.fixture
def identity(tmp_path):
    """A reader's identity, and the file that has it."""
    made = pyrage.x25519.Identity.generate()
    file = tmp_path / "key.txt"
    file.write_text(f"# a comment\n{made}\n")
    return made, str(file)


def stored(name: str, *readers, own=None) -> dict:
    """A backup as the list has it."""
    own = own or pyrage.x25519.Identity.generate()
    key = pyrage.encrypt(f"# made today\n{own}\n".encode(), [each.to_public() for each in readers])
    files = {"database.dump.age": {"size": 1500}, "key.age": {"size": 500}}
    return {
        "name": name, "key": base64.b64encode(key).decode(), "public": str(own.to_public()),
        "places": ["volume", "storage"], "files": files, "release": 7,
        "recipients": [str(each.to_public()) for each in readers],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("latest", NAMES[0]),
        (NAMES[2], NAMES[2]),
        ("2026-11-26T14:03:05+00:00", NAMES[0]),
        ("2026-11-26T14:03:05+01:00", NAMES[1]),
        ("2026-11-26 02:59:59Z", NAMES[2]),
    ],
)
def test_a_backup_is_chosen_by_its_name_or_a_time(wanted, found):
    assert backups.choose([{"name": name} for name in NAMES], wanted)["name"] == found


@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        ("2026-11-26T14:03:05", "has no time zone"),
        ("2026-11-01T00:00:00Z", "no backup of before 2026-11-01 00:00:00 UTC"),
        ("yesterday", "no backup 'yesterday'"),
        # A time for Python, but a name that is mistyped: another backup is not meant.
        (f"{NAMES[0][:-3]}59Z", f"no backup {NAMES[0][:-3]}59Z"),
        ("", "no backup ''"),
    ],
)
def test_a_backup_that_is_not_there_is_refused(wanted, what):
    with pytest.raises(TaskError, match=what) as caught:
        backups.choose([{"name": name} for name in NAMES], wanted)
    assert caught.value.code == ExitCode.REFUSED


def test_a_reader_opens_the_key_of_one_backup(identity):
    reader, file = identity
    own, other = (pyrage.x25519.Identity.generate() for _ in range(2))
    assert backups.key(stored(NAMES[0], other, reader, own=own), file) == str(own)


def test_a_dump_of_a_deploy_has_no_key():
    assert backups.key({"name": NAMES[0], "key": ""}, "") == ""


def test_who_is_no_reader_is_refused_with_those_who_are(identity):
    other = pyrage.x25519.Identity.generate()
    with pytest.raises(TaskError, match="does not open backup") as caught:
        backups.key(stored(NAMES[0], other), identity[1])
    assert str(other.to_public()) in str(caught.value)
    assert str(identity[0]) not in str(caught.value)


def test_a_key_of_another_backup_is_refused(identity):
    reader, file = identity
    swapped = stored(NAMES[0], reader) | {"public": "age1another"}
    with pytest.raises(TaskError, match="it opens another one"):
        backups.key(swapped, file)


def test_one_reader_alone_is_said():
    assert backups.lonely(["age1a", "age1b"]) == []
    (said,) = backups.lonely(["age1a", "age1a"])
    assert "add a second one to deploy.recipients" in said


@pytest.mark.parametrize("name", ["", "/nowhere/key.txt"])
def test_a_missing_identity_is_one_line(name):
    with pytest.raises(TaskError) as caught:
        backups.key(stored(NAMES[0], pyrage.x25519.Identity.generate()), name)
    assert caught.value.code == ExitCode.REFUSED


def test_the_list_says_what_was_drilled_and_where_each_is(identity):
    dump = {"name": NAMES[2], "bytes": 900, "places": ["volume"], "kind": "deploy"}
    whole = {**stored(NAMES[0], identity[0]), "facts": {"tables": {"a": 40, "b": 2}}}
    found = {"backups": [whole, dump], "state": {"drilled": NAMES[0]}}
    head, first, second = backups.report("prod", found).text().splitlines()
    assert head.split() == ["backup", "age", "size", "rows", "release", "where", "readers", "drill"]
    assert "2 kB" in first
    assert "42" in first.split()
    assert first.endswith("restored")
    assert "volume, storage" in first
    assert second.split()[-3:] == ["not", "encrypted", "-"]
    assert backups.report("prod", {"backups": [], "state": {}}).text() == "no backup yet"


@pytest.mark.parametrize(
    ("known", "text", "wrong"),
    [
        ({}, "none yet; no drill yet", []),
        ({"good": 1000}, "the last one is 50 min old; no drill yet", []),
        ({"good": 1000, "failed": 2000, "why": "gone"}, "; gone", ["backup: gone"]),
        ({"good": 1000, "failed": 500, "why": ""}, "50 min old", []),
        ({"good": 4000 - 3 * 86400}, "3 days old", ["the last backup is 3 days old"]),
        ({"failed": 2000, "why": "full"}, "none yet; no drill yet; full", ["backup: full"]),
        ({"good": 1000, "reordered": False}, "50 min old", []),
        ({"good": 1000, "reordered": True}, "50 min old", [storage.REORDERED]),
        ({"good": 1000, "drilled": NAMES[0], "drill": {"seconds": 4.2}},
         f"{NAMES[0]} was restored in a drill, in 4.2 s", []),
    ],
)  # fmt: skip
def test_a_status_says_how_old_the_last_good_backup_is(known, text, wrong):
    shown, found = storage.state(known, 86400, 4000)
    assert text in shown
    assert found == wrong
