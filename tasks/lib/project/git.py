"""The source: which commit, branch and tag this is, and which files it has; from git."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ExitCode, TaskError


@dataclass(frozen=True)
class Source:
    """What is built: a commit, and what it is called.

    Args:
        branch: empty on a tag, and on a detached HEAD that CI's variables say nothing of.
        tag: empty when the commit has none.
        dirty: whether the files differ from the commit's.
        date: when the commit was made (ISO 8601).
    """

    commit: str
    branch: str
    tag: str
    dirty: bool
    date: str

    @property
    def revision(self) -> str:
        """The commit, marked when the files differ from it."""
        return f"{self.commit}-dirty" if self.dirty else self.commit

    @property
    def slug(self) -> str:
        """The branch as an image's tag can say it; empty for one without a letter of a-z0-9."""
        return slug(self.branch)


def slug(branch: str) -> str:
    """A branch's name by the rule of GitLab's CI_COMMIT_REF_SLUG."""
    return re.sub(r"[^a-z0-9]", "-", branch.lower())[:63].strip("-")


def read(root: Path = Path(), env: Mapping[str, str] = os.environ) -> Source:
    """The source in a folder: from git, and from CI's variables what a CI runner's clone lacks.

    The variables count only when they are about the commit that is there, or when git is silent.
    Raises TaskError when neither git nor the variables know the commit.
    """
    said = env.get("CI_COMMIT_SHA") or env.get("GITHUB_SHA") or ""
    try:
        commit, date = git("log", "-1", "--format=%H %cI", root=root).split()
    except TaskError:
        if not said:
            raise
        branch, tag = _from_ci(env)
        return Source(said, branch, tag, False, env.get("CI_COMMIT_TIMESTAMP", ""))
    dirty = bool(git("status", "--porcelain", root=root))
    if said == commit:
        branch, tag = _from_ci(env)
    else:
        branch = git("branch", "--show-current", root=root)
        tags = git("tag", "--points-at", "HEAD", "--sort=-version:refname", root=root)
        tag = tags.partition("\n")[0]
    return Source(commit, branch, tag, dirty, date)


def _from_ci(env: Mapping[str, str]) -> tuple[str, str]:
    """The branch and the tag that CI's variables name: GitLab's, else GitHub's."""
    tag = env.get("CI_COMMIT_TAG", "")
    if env.get("CI_COMMIT_SHA"):
        name = env.get("CI_COMMIT_REF_NAME") or env.get("CI_COMMIT_REF_SLUG", "")
        return ("" if tag else env.get("CI_COMMIT_BRANCH") or name), tag
    if env.get("GITHUB_REF_TYPE") == "tag":
        return "", env.get("GITHUB_REF_NAME", "")
    return env.get("GITHUB_HEAD_REF") or env.get("GITHUB_REF_NAME", ""), ""


def full(ref: str, root: Path = Path()) -> str:
    """The commit that git takes a name for; empty when it knows none."""
    try:
        return git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", root=root)
    except TaskError:
        return ""


def between(old: str, new: str, root: Path = Path()) -> list[str]:
    """The commits from one to another, a line each; those that were taken back begin with "-".

    Raises TaskError when git does not have both, as in a shallow clone.
    """
    for commit in (old, new):
        if not full(commit, root):
            raise TaskError(
                f"git does not have {commit[:12]} here", "git fetch --unshallow", ExitCode.REFUSED
            )
    marks = "--format=%m %h %s"
    lines = git("log", "--left-right", marks, f"{old}...{new}", root=root)
    signs = {"<": "-", ">": "+"}
    return [signs[line[0]] + line[1:] for line in lines.splitlines()]


def git(*arguments: str, root: Path = Path()) -> str:
    """What a git command prints. Raises TaskError with git's own words when it fails."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise TaskError("git is not installed", "install git") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["it says nothing"]
        raise TaskError(f"git {arguments[0]}: {said[-1]}", "run this in a git clone") from None
    return done.stdout.strip()


def files(root: Path = Path()) -> list[Path]:
    """The files that git tracks, and new ones that it does not ignore, as they are on disk."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", root=root)
    return sorted({root / name for name in listed.split("\0") if name and (root / name).is_file()})
