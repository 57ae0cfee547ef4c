"""`inv test --image`: the suite on the very layers of an image, which is marked when it passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.lib.images import promotion, refs
from tasks.lib.registry.client import INDEXES, Manifest
from tests.testbed.commands import docker, git

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"
pytestmark = pytest.mark.engine


@pytest.fixture
def whole(repository):
    """The repository with the app's real image instead of the small one, built and pushed."""
    (repository.root / "Dockerfile").write_text(DOCKERFILE.read_text())
    git(repository.root, "commit", "--all", "--message", "the real image")
    repository.digest = repository.build()
    return repository


def test_the_digest_that_passes_is_marked_and_can_be_released(whole):
    refused = whole.inv("release", "--env=staging")
    assert refused.returncode == 2
    assert f"inv test --image={whole.image}@{whole.digest}" in refused.stderr

    done = whole.inv("test", f"--image={whole.image}@{whole.digest}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert promotion.is_tested(whole.registry, refs.resolve(whole.registry, whole.digest))
    assert done.stdout.strip().splitlines()[-1].startswith("TOTAL ")
    assert whole.must("release", "--env=staging") == f"{whole.image}@{whole.digest}"
    assert whole.registry.digest("staging") == whole.digest
    assert docker("images", "-q", "myapp-under-test-*") == ""


def test_of_several_platforms_the_one_that_runs_here_is_tested(whole):
    registry = whole.registry
    here = registry.manifest(whole.digest)
    whole.commit("something else")
    other = registry.manifest(whole.build())
    names = {other: "arm64", here: registry.config(here)["architecture"]}
    entries = [
        {"mediaType": each.kind, "digest": each.digest, "size": len(each.body),
         "platform": {"os": "linux", "architecture": name}}
        for each, name in names.items()
    ]  # fmt: skip
    content = {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries}
    index = Manifest(json.dumps(content).encode(), INDEXES[0])
    registry.put("several", index)

    done = whole.inv("test", f"--image={index.digest}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: marked as tested without running on: linux/amd64" in done.stderr
    assert promotion.is_tested(registry, refs.resolve(registry, index.digest))
    assert not promotion.is_tested(registry, refs.resolve(registry, other.digest))


def test_an_image_that_fails_is_not_marked(whole):
    (whole.root / "myapp/tests/test_broken.py").write_text("def test_x():\n    assert 1 == 2\n")
    done = whole.inv("test", f"--image={whole.digest}")
    assert done.returncode == 1
    assert "warning: uncommitted changes: the tests may differ" in done.stderr
    assert not promotion.is_tested(whole.registry, refs.resolve(whole.registry, whole.digest))


def test_a_part_of_the_suite_marks_nothing(repository):
    done = repository.inv("test", "--image=main", "--pattern=probes")
    assert done.returncode == 2
    assert (
        "only the whole suite can mark an image as tested - leave out --path and --pattern"
        in done.stderr
    )


def test_an_image_that_is_not_there_is_named(repository):
    done = repository.inv("test", "--image=nope")
    assert done.returncode == 2
    assert "no image for 'nope'" in done.stderr
