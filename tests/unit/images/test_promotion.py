"""What a pipeline may release: not what comes after a later commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.images import promotion
from tests.orchestrators.world import push
from tests.testbed.commands import git

NOON, LATER = "2026-01-31T12:00:00+02:00", "2026-01-31T11:00:00+00:00"
FIRST, SECOND = "a" * 40, "b" * 40


def release(images, revision: str, **labels: str) -> None:
    """Release an image of a commit for prod."""
    made = push(images, revision, **labels)
    promotion.mark_tested(images, made.digest)
    promotion.make_current(images, "prod", made, "")


def is_late(images, revision: str, **labels: str) -> bool:
    """Whether it comes too late; it changes nothing then."""
    before = images.digest("prod")
    try:
        release(images, revision, **labels)
    except TaskError as error:
        assert "comes too late - inv rollback goes back" in str(error)
        assert error.code == ExitCode.REFUSED
        assert images.digest("prod") == before
        return True
    return False


@pytest.mark.parametrize(
    ("there", "mine", "late"),
    [
        (LATER, NOON, True),
        (NOON, LATER, False),
        (NOON, NOON, False),
        ("", NOON, False),
        (LATER, "", False),
        (LATER, "2026-01-31T12:00:00", False),
        (LATER, "yesterday", False),
    ],
)
def test_what_git_does_not_know_is_told_by_its_date(images, monkeypatch, there, mine, late):
    release(images, SECOND, created=there)
    monkeypatch.setenv("GITHUB_SHA", FIRST)
    assert is_late(images, FIRST, created=mine) is late


def test_commits_of_two_branches_have_no_order(images, monkeypatch):
    release(images, SECOND, created=LATER, **{"ref.name": "other"})
    monkeypatch.setenv("GITHUB_SHA", FIRST)
    assert not is_late(images, FIRST, created=NOON, **{"ref.name": "main"})


def test_what_git_knows_counts_more_than_dates(images, commit, monkeypatch):
    first, second = commit(), commit()
    release(images, second, created=NOON)
    monkeypatch.setenv("CI_COMMIT_SHA", first)
    assert is_late(images, first, created=LATER)
    release(images, SECOND, created=LATER)
    # On another branch git knows of no order.
    git(Path(), "checkout", "--quiet", first)
    other = commit("other")
    monkeypatch.setenv("CI_COMMIT_SHA", other)
    assert is_late(images, other, created=NOON)


@pytest.mark.parametrize("env", [{}, {"CI_COMMIT_SHA": SECOND}])
def test_a_person_or_a_pipeline_that_names_another_commit_goes_back(images, monkeypatch, env):
    for name in ("CI_COMMIT_SHA", "GITHUB_SHA"):
        monkeypatch.delenv(name, raising=False)
    release(images, SECOND, created=LATER)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert not is_late(images, FIRST, created=NOON)
    release(images, SECOND, created=LATER)
    # An image that another tool has built.
    assert not is_late(images, "", created=NOON)


def test_a_reason_is_enough(images, monkeypatch):
    release(images, SECOND, created=LATER)
    monkeypatch.setenv("CI_COMMIT_SHA", FIRST)
    made = push(images, FIRST, created=NOON)
    promotion.mark_tested(images, made.digest)
    promotion.make_current(images, "prod", made, "the later one sells nothing")
    assert images.digest("prod") == made.digest
