"""Which image a ref means: never that of another branch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.images import promotion, refs, tags
from tasks.lib.project.git import slug
from tests.orchestrators.world import push
from tests.testbed.commands import git

ELSEWHERE = "e" * 40
ENVIRONMENTS = ("staging", "prod")


def build(images, revision: str, branch: str = "", tag: str = "", **more: str) -> str:
    """Push an image as a build of a branch or git tag does; returns its digest."""
    labels = {"ref.name": branch} if branch else {}
    made = push(images, revision, **labels, version=tag or revision, **more)
    for name in filter(None, [slug(branch), tags.as_tag(tag)]):
        images.put(name, made)
    return made.digest


def found(images, ref: str) -> str:
    return refs.find(images, ref, ENVIRONMENTS).digest


def refused(images, ref: str) -> str:
    """See that a ref is refused; returns why."""
    with pytest.raises(TaskError) as caught:
        found(images, ref)
    assert caught.value.code == ExitCode.REFUSED
    return str(caught.value)


@pytest.mark.parametrize(
    ("ref", "other"),
    [
        ("fix/login", "fix-login"),
        ("fix-login", "fix/login"),
        ("Fix-Login", "fix-login"),
        ("v1.0", "v1-0"),
        ("x" * 63 + "one", "x" * 63 + "two"),
        ("fix_login", "fix/login"),
    ],
)
def test_a_branch_with_the_same_slug_is_another_branch(images, commit, ref, other):
    commit(ref)
    build(images, ELSEWHERE, other)
    why = refused(images, ref)
    assert f"the image of branch {other} - add --ref=COMMIT" in why
    mine = build(images, commit(ref))
    assert found(images, ref) == mine
    assert found(images, other) == found(images, slug(other)) != mine or ref == slug(other)


def test_a_branch_is_found_by_its_slug_without_git(images):
    mine = build(images, ELSEWHERE, "fix/login")
    assert found(images, "fix/login") == found(images, "fix-login") == mine


def test_a_git_tag_is_no_branch(images):
    mine = build(images, ELSEWHERE, tag="v1-0")
    assert found(images, "v1-0") == mine
    assert "the tag v1-0 is the image of git tag v1-0 - add" in refused(images, "v1.0")


def test_without_a_label_the_commit_must_be_on_the_branch(images, commit, tmp_path: Path):
    first = commit("fix/login")
    mine = push(images, first)
    images.put("fix-login", mine)
    commit("fix/login")
    assert found(images, "fix/login") == mine.digest
    assert "no image for 'fix.login'" in refused(images, "fix.login")
    git(tmp_path, "clone", "--quiet", str(tmp_path), "near")
    git(tmp_path, "checkout", "--quiet", "--detach")
    git(tmp_path, "branch", "-D", "fix/login")
    refused(images, "fix/login")
    git(tmp_path, "update-ref", "refs/remotes/origin/fix/login", first)
    assert found(images, "fix/login") == mine.digest


def test_a_branch_merged_by_fast_forward_has_the_image_of_the_other(images):
    made = push(images, ELSEWHERE, **{"ref.name": "feature/x"})
    images.put("main", made)
    assert found(images, "main") == made.digest


def test_an_environment_comes_before_a_branch_and_no_slug_means_one(images, commit, capfd):
    released = push(images, ELSEWHERE, **{"ref.name": "main"})
    images.put("staging", released)
    mine = build(images, commit("Staging"))
    assert found(images, "staging") == released.digest
    assert found(images, "Staging") == mine
    assert not capfd.readouterr().err
    commit("staging")
    assert found(images, "staging") == released.digest
    assert (
        "staging is the environment here, not the branch - add --ref=COMMIT"
        in capfd.readouterr().err
    )


def test_a_commit_is_found_by_its_beginning_and_asked_for_directly(images, store, commit):
    known = commit()
    mine, other = build(images, known), build(images, ELSEWHERE)
    assert found(images, known[:8]) == mine
    assert found(images, "main") == mine
    assert not [request for request in store.asked if "/tags/" in request]
    assert found(images, ELSEWHERE[:8]) == other
    build(images, "e" * 39 + "f")
    assert "no image for 'eeeeeeee'" in refused(images, ELSEWHERE[:8])


def test_what_is_no_image_is_refused(images):
    images.put("sha256-1.sig", promotion.note(images, {}))
    assert "is no image" in refused(images, "sha256-1.sig")
