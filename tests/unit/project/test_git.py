"""Which commit, branch and tag this is: from git, and from CI's variables what a clone lacks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tasks.lib.errors import TaskError
from tasks.lib.project import git as source
from tests.testbed.commands import GIT, git
from tests.testbed.sshds import make_key


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit on the branch Feature/X."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet", "-b", "Feature/X")
    (root / "file").write_text("one")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "one")
    return root


def commit(root: Path) -> str:
    return git(root, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("branch", "expected"),
    [
        ("main", "main"),
        ("Feature/ABC-1_x.y", "feature-abc-1-x-y"),
        ("--weird--", "weird"),
        ("Äpfel-und-Öl", "pfel-und--l"),
        ("x" * 200, "x" * 63),
        ("x" * 62 + "/y", "x" * 62),
        ("日本語", ""),
        ("", ""),
    ],
)
def test_a_branch_is_slugged_as_gitlab_does(branch, expected):
    assert source.slug(branch) == expected


def test_git_alone_knows_everything(repository):
    found = source.read(repository, {})
    assert (found.commit, found.branch, found.slug) == (
        commit(repository),
        "Feature/X",
        "feature-x",
    )
    assert (found.tag, found.dirty, found.revision) == ("", False, commit(repository))
    assert found.date == git(repository, "log", "-1", "--format=%cI")


@pytest.mark.parametrize("name", ["file", "new"])
def test_changed_and_new_files_make_it_dirty(repository, name):
    (repository / name).write_text("two")
    found = source.read(repository, {})
    assert found.revision == f"{commit(repository)}-dirty"


def test_of_several_tags_the_highest_version_counts(repository):
    for tag in ("v1.9.0", "v1.10.0", "v1.2.0"):
        git(repository, "tag", tag)
    assert source.read(repository, {}).tag == "v1.10.0"


def test_a_detached_head_without_ci_has_no_branch(repository):
    git(repository, "checkout", "--quiet", "--detach")
    assert source.read(repository, {}).branch == ""


@pytest.mark.parametrize(
    ("env", "branch", "tag"),
    [
        (
            {"CI_COMMIT_SHA": "HEAD", "CI_COMMIT_BRANCH": "A/b", "CI_COMMIT_REF_NAME": "A/b"},
            "A/b",
            "",
        ),
        (
            {"CI_COMMIT_SHA": "HEAD", "CI_COMMIT_REF_NAME": "of-a-merge-request"},
            "of-a-merge-request",
            "",
        ),
        ({"CI_COMMIT_SHA": "HEAD", "CI_COMMIT_REF_SLUG": "a-b"}, "a-b", ""),
        ({"CI_COMMIT_SHA": "HEAD", "CI_COMMIT_REF_NAME": "v1", "CI_COMMIT_TAG": "v1"}, "", "v1"),
        (
            {"GITHUB_SHA": "HEAD", "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch"},
            "main",
            "",
        ),
        (
            {"GITHUB_SHA": "HEAD", "GITHUB_REF_NAME": "1/merge", "GITHUB_HEAD_REF": "mine"},
            "mine",
            "",
        ),
        ({"GITHUB_SHA": "HEAD", "GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag"}, "", "v1"),
    ],
)
def test_ci_names_the_branch_or_tag_of_a_shallow_detached_clone(
    repository, tmp_path, env, branch, tag
):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", str(clone))
    git(clone, "checkout", "--quiet", "--detach")
    here = {key: commit(clone) if value == "HEAD" else value for key, value in env.items()}
    found = source.read(clone, here)
    assert (found.commit, found.branch, found.tag) == (commit(repository), branch, tag)


def test_variables_about_another_commit_do_not_count(repository):
    env = {"CI_COMMIT_SHA": "0" * 40, "CI_COMMIT_REF_NAME": "other", "CI_COMMIT_TAG": "v9"}
    found = source.read(repository, env)
    assert (found.commit, found.branch, found.tag) == (commit(repository), "Feature/X", "")


def test_without_git_the_variables_are_enough(tmp_path):
    env = {"CI_COMMIT_SHA": "1" * 40, "CI_COMMIT_REF_NAME": "main"}
    assert source.read(tmp_path, env).commit == "1" * 40
    with pytest.raises(TaskError, match="run this in a git clone"):
        source.read(tmp_path, {})


def test_the_commits_in_between_are_listed_also_those_taken_back(repository):
    first = commit(repository)
    (repository / "file").write_text("two")
    git(repository, "commit", "--quiet", "--all", "--message", "two")
    second = commit(repository)
    assert [line.split()[0] + line[-3:] for line in source.between(first, second, repository)] == [
        "+two"
    ]
    assert [line.split()[0] + line[-3:] for line in source.between(second, first, repository)] == [
        "-two"
    ]
    with pytest.raises(
        TaskError, match="commit 000000000000 is not in this clone - git fetch --unshallow"
    ):
        source.between("0" * 40, second, repository)


def test_commits_are_listed_newest_first_with_their_names(repository):
    first = commit(repository)
    git(repository, "tag", "v1.0")
    git(repository, "checkout", "--quiet", "-b", "other")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "two",
        GIT_COMMITTER_DATE="4000000000 +0000")  # fmt: skip
    found = source.commits(repository)
    assert list(found) == [commit(repository), first]
    assert set(found[first]) == {"v1.0", "Feature/X"}
    assert "other" in found[commit(repository)]
    assert source.commits(repository.parent / "nowhere") == {}


def test_a_branch_is_known_by_its_whole_name_and_its_commits(repository):
    first = commit(repository)
    assert source.has_branch("Feature/X", root=repository)
    assert source.has_branch("Feature/X", first, repository)
    assert not source.has_branch("feature-x", root=repository)
    assert not source.has_branch("Feature", root=repository)
    assert not source.has_branch("Feature/X", "0" * 40, repository)


def test_a_signature_that_log_shows_does_not_matter(repository):
    git(repository, "config", "log.showSignature", "true")
    key = repository.parent / "key"
    make_key(key)
    git(repository, "config", "gpg.format", "ssh")
    git(repository, "config", "user.signingKey", str(key))
    git(repository, "commit", "--quiet", "--allow-empty", "-S", "--message", "signed")
    assert source.read(repository, {}).commit == commit(repository)
    git(repository, "config", "color.ui", "always")
    (line,) = source.between("HEAD~1", "HEAD", repository)
    assert line == f"+ {commit(repository)[:7]} signed"


def test_texts_that_are_not_utf_8_are_read(repository):
    name = b"\xe4.txt"
    (Path(os.fsdecode(bytes(repository) + b"/" + name))).write_text("x")
    raw = ["-c", "i18n.commitEncoding=latin-1", "commit", "--quiet", "--allow-empty"]
    words = [*(each.encode() for each in GIT), *(each.encode() for each in raw), b"-m", b"\xe4"]
    subprocess.run(words, cwd=repository, check=True)
    subprocess.run(
        ["git", "config", "i18n.logOutputEncoding", "latin-1"], cwd=repository, check=True
    )
    (line,) = source.between("HEAD~1", "HEAD", repository)
    assert line.endswith(" \ufffd")
    assert os.fsdecode(name) in [file.name for file in source.files(repository)]


@pytest.mark.parametrize("ask", [source.read, source.files])
def test_a_clone_of_another_user_is_named_with_the_command_that_allows_it(
    repository, monkeypatch, ask
):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("HOME", str(repository.parent))
    with pytest.raises(TaskError) as caught:
        ask(repository)
    what, _, hint = str(caught.value).partition(" - ")
    assert what.endswith(f": {repository} belongs to another user")
    assert hint == f"git config --global --add safe.directory '{repository}'"
    subprocess.run(hint, shell=True, check=True)
    assert ask(repository)


def test_a_clone_without_a_commit_says_so(tmp_path):
    git(tmp_path, "init", "--quiet", "-b", "main")
    with pytest.raises(TaskError, match=r"does not have any commits yet - make a first commit"):
        source.read(tmp_path, {})
