"""What an environment keeps on its servers, in words."""

from __future__ import annotations

import json

import msgspec
import pytest

from tasks.lib.environments import kept, status, storage
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.orchestrators.status import Volume


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (12_345, "12.3 kB"), (312 * 10**6, "312 MB"), (4.2e9, "4.2 GB")],
)
def test_a_size_has_a_unit(number, text):
    assert storage.size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 min"), (600, "10 min"), (7200, "2 h"), (40 * 3600, "40 h"), (3 * 86400, "3 days")],
)
def test_an_age_has_its_largest_unit(seconds, text):
    assert storage.age(seconds) == text


def test_dumps_are_counted():
    found = storage.described("100000\n92800 1000\n99940 500")
    assert found.summary == "2, 1.5 kB, the newest 1 min old"
    assert found.last == "1970-01-02T03:45:40Z"
    assert storage.described("100000").summary == "none"


def test_a_status_shows_images_and_dumps(world):
    assert "backups: unknown, as the database is not reached" in status.read(world.target).text()
    world.deploy(world.image(migrations=("myapp.9001_one",)))
    shown = status.read(world.target).text()
    assert "backups: 1, 1 kB, the newest 1 min old" in shown
    (row,) = [line for line in shown.splitlines() if line.startswith("memory  ") and " of " in line]
    assert row.split()[-3:] == ["1", "1", "MB"]


def test_an_external_database_has_no_dumps_of_ours(world):
    deploy = msgspec.structs.replace(world.target.settings.deploy, secrets=["DATABASE_URL"])
    world.target.settings = msgspec.structs.replace(world.target.settings, deploy=deploy)
    assert storage.backups(world.target, {}).summary == "its operator's"


def test_databases_that_restores_have_left_say_what_gives_them_back_and_what_removes_them(world):
    ends = {"20261126t140305z": 1796306585, "20261127t090000z": 1796374800}
    first, last = (f"app_before_{each}" for each in ends)
    undone = "app_restored_20261126t150000z"
    found = {last: ends[last[-16:]], first: ends[first[-16:]], undone: 1796310000}
    answer = json.dumps({"done": {"good": NOW, "kept": found}})
    world.target.orchestrator.inner.inside = lambda service, script: answer
    shown = storage.backups(world.target, ["backup"]).text("prod").splitlines()
    gone = "inv backup --env=prod after {} removes it"
    assert shown[1:] == [
        f"  kept since 2026-11-26T14:03:05Z: database {first} - "
        + gone.format("2026-12-03T14:03:05Z"),
        f"  kept since 2026-11-26T15:00:00Z: database {undone} - "
        + gone.format("2026-12-03T15:00:00Z"),
        f"  kept since 2026-11-27T09:00:00Z: database {last} - "
        f"inv restore --env=prod --undo swaps it back; {gone.format('2026-12-04T09:00:00Z')}",
    ]


def test_a_volume_with_a_database_that_does_not_run_is_shown_with_what_removes_it(world):
    world.deploy(world.image())
    assert status.read(world.target).spare == []
    world.target.orchestrator.inner.cluster.volumes = [
        Volume("db16", 1796306585, "docker volume rm myapp-prod_db16 on a@1"),
        Volume("backups", 1796310000, "docker volume rm myapp-prod_backups on a@1"),
    ]
    assert status.read(world.target).text().split("\n\n")[-3].splitlines()[1:] == [
        "  kept since 2026-12-03T14:03:05Z: a database in volume db16 - a rollback to a release "
        "that used it goes back to it; docker volume rm myapp-prod_db16 on a@1 removes it"
    ]


def test_without_the_volume_of_the_database_that_runs_none_is_spare():
    found = [Volume("db", 1, "rm db")]
    service = {"volumes": [{"type": "volume", "source": "db18"}]}
    stack = Stack("shop-prod", "image", {"services": {"db": service}})
    assert kept.spare(found, stack) == kept.spare(found, None) == []
    (spare,) = kept.spare([*found, Volume("db18", 2, "rm db18")], stack)
    assert (spare.volume, spare.since) == ("db", "1970-01-01T00:00:02Z")


NOW = 1_000_000.0
GOOD = {"on": True, "stanza": "pg-1", "archived": NOW - 120, "waiting": 0, "dropped": None}
BASE = {"stanza": "pg-1", "first": 0, "last": NOW - 3600}


@pytest.mark.parametrize(
    ("found", "base", "text", "wrong"),
    [
        ({}, {}, "from 1970-01-01 00:00:00 UTC on; the last part 2 min ago", []),
        ({"archived": None}, {}, "from 1970-01-01 00:00:00 UTC on", []),
        ({"stanza": "pg-2"}, {}, "no base backup yet", []),
        ({"waiting": 2, "oldest": NOW - 200}, {}, "", []),
        ({"waiting": 9, "oldest": NOW - 900}, {}, "", ["9 parts wait for its storage, since"]),
        ({"dropped": NOW - 900}, {}, "", ["parts were dropped 15 min ago"]),
        ({}, {"failed": NOW, "why": "no room"}, "", ["archive: no room"]),
        ({"on": False}, {}, "off", ["the database that runs has none"]),
        ({"problem": "gone"}, {}, "unknown", ["archive: gone"]),
    ],
)  # fmt: skip
def test_a_status_says_how_far_back_the_archive_goes_and_that_it_is_stuck(found, base, text, wrong):
    shown, problems = storage.archived(GOOD | found, BASE | base, NOW)
    assert text in shown
    assert len(problems) == len(wrong)
    assert all(part in line for part, line in zip(wrong, problems, strict=True))
    known = {"good": NOW - 60, "archive": GOOD | found, "base": BASE | base}
    assert f"archive: {shown}" in storage.state(known, 86400, NOW)[0]
