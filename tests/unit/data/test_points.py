"""Which point in time is meant, and which base backup a restore to it begins with."""

from __future__ import annotations

import pytest

from tasks.lib.data import points, restoring
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.orchestrators.stack import Stack


def stack(*secrets: str) -> Stack:
    service = {"image": "tools", "secrets": [{"source": name} for name in secrets]}
    return Stack("s", "app", {"services": {"backup": service}})


ARCHIVED = stack("POSTGRES_PASSWORD", "ARCHIVE_KEY")


@pytest.mark.parametrize(
    ("at", "point", "name"),
    [
        ("2026-11-26 14:03:05+00", "2026-11-26T14:03:05+00:00", "2026-11-26 14:03:05 UTC"),
        ("2026-11-26T15:03:05+01:00", "2026-11-26T14:03:05+00:00", "2026-11-26 14:03:05 UTC"),
        ("2026-11-26T14:03Z", "2026-11-26T14:03:00+00:00", "2026-11-26 14:03:00 UTC"),
        (
            "2026-11-26T14:03:10.250Z",
            "2026-11-26T14:03:10.250000+00:00",
            "2026-11-26 14:03:10.25 UTC",
        ),
        ("latest", "latest", "all that was archived"),
    ],
)  # fmt: skip
def test_a_point_in_time_is_named_in_utc(at, point, name):
    assert points.chosen(ARCHIVED, at) == {"name": name, "point": point}
    assert name in restoring.question("prod", points.chosen(ARCHIVED, at))


@pytest.mark.parametrize(
    ("at", "what"),
    [
        ("2026-11-26 14:03:05", "has no time zone"),
        ("yesterday", "yesterday is no time"),
        ("2099-01-01T00:00:00Z", "is in the future"),
    ],
)
def test_what_is_no_point_of_the_past_is_refused(at, what):
    with pytest.raises(TaskError, match=what) as caught:
        points.chosen(ARCHIVED, at)
    assert caught.value.code == ExitCode.REFUSED


def test_a_database_without_an_archive_has_no_points():
    with pytest.raises(TaskError, match="has no archive"):
        points.chosen(stack("POSTGRES_PASSWORD"), "latest")


def test_a_backup_and_a_point_are_not_restored_at_once():
    with pytest.raises(TaskError, match="only one can be"):
        points.wanted(None, ARCHIVED, "latest", "latest", "")


def test_the_tools_are_asked_for_a_backup_or_for_a_point():
    assert points.words({"name": "20261126T140305Z"}, "beside", "at") == (
        "beside",
        "20261126T140305Z",
    )
    assert points.words(points.chosen(ARCHIVED, "latest"), "beside", "at") == ("at", "latest")


HOUR, DAY = 3600, 86400
NOW = 100 * DAY
OK = {"on": True, "stanza": "pg-1", "dropped": None, "waiting": 0}
BASE = {"stanza": "pg-1", "full": NOW - DAY, "last": NOW - HOUR}


@pytest.mark.parametrize(
    ("base", "found", "kind"),
    [
        ({}, {}, "full"),
        ({}, {"on": False}, ""),
        (BASE, {}, ""),
        (BASE, {"stanza": "pg-2"}, "full"),
        ({**BASE, "last": NOW - DAY}, {}, "diff"),
        ({**BASE, "full": NOW - 7 * DAY}, {}, "full"),
        (BASE, {"dropped": NOW - 60}, "full"),
        (BASE, {"dropped": NOW - 60, "waiting": 3}, ""),
        ({"failed": NOW - 60}, {}, ""),
        ({"failed": NOW - HOUR}, {}, "full"),
    ],
)
def test_a_base_backup_is_due_when_its_time_has_come_or_the_archive_has_a_gap(
    tools, base, found, kind
):
    assert tools["archive"].due(base, OK | found, DAY, NOW) == kind


def cluster(name: str, *stops: int, version: str = "17") -> dict:
    """A cluster as pgBackRest lists it."""
    bases = [
        {"label": f"{name}-{stop}", "timestamp": {"stop": stop}, "database": {"id": 1}}
        for stop in stops
    ]
    return {"name": name, "db": [{"id": 1, "version": version}], "backup": bases}


@pytest.mark.parametrize(
    ("when", "label"),
    [
        ("1970-01-01T00:03:20Z", "pg-1-200"),
        ("1970-01-01T00:03:19.9Z", "pg-1-100"),
        ("1970-01-01T00:10:00+00:00", "pg-2-500"),
        ("latest", "pg-2-500"),
    ],
)
def test_the_newest_base_backup_of_before_is_taken_of_whichever_cluster(tools, when, label):
    known = [cluster("pg-1", 100, 200), cluster("pg-2", 500), cluster("pg-3", 550, version="16")]
    name, base = tools["point"].choose(known, when, "17")
    assert base["label"] == label
    assert label.startswith(name)


@pytest.mark.parametrize(
    ("known", "when", "why"),
    [
        ([], "latest", "has no base backup of PostgreSQL 17 yet"),
        ([cluster("pg-1", 100, version="16")], "latest", "has no base backup"),
        ([cluster("pg-1", 100)], "1970-01-01T00:01:00Z", "begins at 1970-01-01 00:01:40"),
        ([cluster("pg-1", 100)], "2099-01-01T00:01:00Z", "in the future"),
    ],
)
def test_a_point_that_no_base_backup_reaches_is_refused(tools, known, when, why):
    with pytest.raises(tools["programs"].Failed, match=why):
        tools["point"].choose(known, when, "17")
