"""Names of images, and which tags an image of a commit bears."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.lib.errors import TaskError
from tasks.lib.images import builder, listing, promotion, tags
from tasks.lib.project.git import Source
from tasks.lib.registry.client import Manifest
from tasks.lib.registry.reference import (
    BRANCH_LABEL,
    TAG,
    VERSION_LABEL,
    Reference,
    is_built_on,
)

DIGEST = f"sha256:{'a' * 64}"
COMMIT = "0123456789" * 4
SOURCE = Source(COMMIT, "Feature/X", "", False, "2026-01-01T00:00:00+00:00")
ENVIRONMENTS = ("staging", "prod")


@pytest.mark.parametrize(
    ("text", "host", "path", "tag", "digest"),
    [
        ("r.example.com/app", "r.example.com", "app", "", ""),
        ("r.example.com:5000/group/sub/app:v1", "r.example.com:5000", "group/sub/app", "v1", ""),
        (f"localhost/app@{DIGEST}", "localhost", "app", "", DIGEST),
        (f"127.0.0.1:5000/a/app:main@{DIGEST}", "127.0.0.1:5000", "a/app", "main", DIGEST),
        ("myname/app:1", "docker.io", "myname/app", "1", ""),
    ],
)
def test_a_name_is_read_as_docker_does_and_written_back(text, host, path, tag, digest):
    found = Reference.parse(text)
    assert found == Reference(host, path, tag, digest)
    assert str(found).removeprefix("docker.io/") == text


def test_a_bare_name_is_docker_hubs_library():
    assert str(Reference.parse("python:3.13")) == "docker.io/library/python:3.13"


@pytest.mark.parametrize(
    "text", ["", "UPPER/case", "r.example.com/app:", "r.io/app@sha256:1", "r.io/a b"]
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(TaskError, match="invalid image reference"):
        Reference.parse(text)


def test_a_tag_and_a_digest_replace_each_other():
    image = Reference.parse("r.example.com/app:main")
    assert str(image.at(DIGEST)) == f"r.example.com/app@{DIGEST}"
    assert str(image.at(DIGEST).tagged("x")) == "r.example.com/app:x"


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("v1.0.0", "v1.0.0"),
        ("release/1.0+rc1", "release-1.0-rc1"),
        (".x", "x"),
        ("y" * 200, "y" * 128),
    ],
)
def test_any_git_tag_gives_a_tag(tag, expected):
    assert tags.as_tag(tag) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [COMMIT, "feature-x"]),
        ({"tag": "v1.0.0"}, [COMMIT, "feature-x", "v1.0.0"]),
        ({"branch": "", "tag": "v1.0.0"}, [COMMIT, "v1.0.0"]),
        ({"branch": ""}, [COMMIT]),
        ({"dirty": True, "tag": "v1.0.0"}, [f"{COMMIT}-dirty"]),
        ({"branch": "staging"}, [COMMIT]),
        ({"branch": "Staging/previous"}, [COMMIT]),
        ({"branch": f"tested/{COMMIT}"}, [COMMIT]),
        ({"branch": "cache-deps"}, [COMMIT]),
        ({"branch": "forced-through"}, [COMMIT]),
        ({"branch": "deployed/prod-1"}, [COMMIT]),
        ({"tag": "prod"}, [COMMIT, "feature-x"]),
        ({"branch": "f" * 40}, [COMMIT]),
    ],
)
def test_an_image_bears_its_commit_branch_and_git_tag_unless_they_are_reserved(changes, expected):
    assert tags.for_source(replace(SOURCE, **changes), ENVIRONMENTS)[0] == expected


def test_every_tag_with_a_meaning_is_reserved():
    image = promotion.Candidate(Manifest(b"{}", ""), COMMIT)
    marks = [tags.tested(image), tags.forced(image), tags.cache("deps"), tags.deployed("prod", 1)]
    meant = [*marks, "prod", tags.previous("prod"), COMMIT, f"{COMMIT}-dirty"]
    assert [tag for tag in meant if not tags.is_reserved(tag, ENVIRONMENTS)] == []
    assert [tag for tag in meant if tags.is_image(tag)] == [meant[0], *meant[3:]]


def test_a_reserved_name_is_reported_unless_uncommitted_changes_give_no_name_anyway():
    source = replace(SOURCE, branch="prod", tag="v1.0.0")
    assert tags.for_source(source, ENVIRONMENTS) == ([COMMIT, "v1.0.0"], ["prod"])
    assert tags.for_source(replace(source, dirty=True), ENVIRONMENTS) == ([f"{COMMIT}-dirty"], [])


@pytest.mark.parametrize(
    ("revision", "mark"),
    [
        (COMMIT, f"tested-{COMMIT}"),
        (f"{COMMIT}-dirty", f"tested-{COMMIT}-dirty"),
        ("", f"tested-{Manifest(b'{}', '').digest[7:19]}"),
        ("refs/heads/main", "tested-refs-heads-main"),
        ("r" * 200, f"tested-{'r' * 121}"),
    ],
)
def test_the_mark_is_valid_and_the_same_to_promotion_and_listing(revision, mark):
    image = promotion.Candidate(Manifest(b"{}", ""), revision)
    listed = listing.Stored(image.digest, (COMMIT, mark), revision, "main", "", 1)
    assert TAG.fullmatch(mark)
    assert tags.tested(image) == tags.tested(listed) == mark
    assert listed.tested
    assert listed.others(ENVIRONMENTS) == []
    assert listing.prunable([listed], 0, ENVIRONMENTS) == [listed]


def test_dirty_files_are_pushed_only_when_allowed(capsys):
    dirty = replace(SOURCE, dirty=True)
    with pytest.raises(
        TaskError, match="uncommitted changes: not pushing - commit first, or add --allow-dirty"
    ):
        builder.check_source(dirty, builder.Options(push=True))
    builder.check_source(dirty, builder.Options(push=True, allow_dirty=True))
    assert f"tagged {COMMIT}-dirty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layers", "below", "expected"),
    [
        (["a", "b", "c"], ["a", "b"], True),
        (["a", "b"], ["a", "b"], False),
        (["a", "x", "c"], ["a", "b"], False),
        (["b", "a", "c"], ["a", "b"], False),
        (["a"], ["a", "b"], False),
    ],
)
def test_the_layers_of_the_image_below_come_first_and_in_order(layers, below, expected):
    assert is_built_on(layers, below) == expected


@pytest.mark.parametrize(
    ("branch", "version", "tag", "expected"),
    [
        ("fix/login", COMMIT, "fix-login", "fix/login"),
        ("fix/login", COMMIT, "main", ""),
        ("", "v1.0+rc1", "v1.0-rc1", "v1.0+rc1"),
        ("main", "v1.0", "v1.0", "v1.0"),
        ("", "", "main", ""),
    ],
)
def test_a_tag_belongs_to_the_branch_or_git_tag_of_the_labels(branch, version, tag, expected):
    assert tags.owner({BRANCH_LABEL: branch, VERSION_LABEL: version}, tag) == expected
