"""The source, as git knows it: commit, branch, tag and files."""

import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import ExitCode, TaskError


@dataclass(frozen=True)
class Source:
    """What is built: a commit, and whether there are uncommitted changes.

    The branch is empty on a tag, and on a detached HEAD without CI's variables; the tag if there is
    none. The date is the committer's (ISO 8601).
    """

    commit: str
    branch: str
    tag: str
    dirty: bool
    date: str

    @property
    def revision(self) -> str:
        """Return the commit, with -dirty appended if there are uncommitted changes."""
        return f"{self.commit}-dirty" if self.dirty else self.commit

    @property
    def slug(self) -> str:
        """Return the branch as an image's tag; empty if it has no character of a-z0-9."""
        return slug(self.branch)


def slug(branch: str) -> str:
    """Return a branch's slug, as GitLab computes CI_COMMIT_REF_SLUG."""
    return re.sub(r"[^a-z0-9]", "-", branch.lower())[:63].strip("-")


def read(root: Path = Path(), env: Mapping[str, str] = os.environ) -> Source:
    """Return the source in a folder: from git, and from CI's variables what a runner's clone lacks.

    The variables count only if they are about the checked-out commit, or if git knows none. Raises
    TaskError if neither git nor the variables know the commit.
    """
    ci_commit = pipeline(env)
    try:
        commit, date = git("log", "-1", "--format=%H %cI", root=root).split()
    except TaskError:
        if not ci_commit:
            raise
        branch, tag = _from_ci(env)
        return Source(ci_commit, branch, tag, False, env.get("CI_COMMIT_TIMESTAMP", ""))
    dirty = bool(git("status", "--porcelain", root=root))
    if ci_commit == commit:
        branch, tag = _from_ci(env)
    else:
        branch = git("branch", "--show-current", root=root)
        tags = git("tag", "--points-at", "HEAD", "--sort=-version:refname", root=root)
        tag = tags.partition("\n")[0]
    return Source(commit, branch, tag, dirty, date)


def _from_ci(env: Mapping[str, str]) -> tuple[str, str]:
    """Return the branch and the tag of CI's variables: GitLab's, else GitHub's."""
    tag = env.get("CI_COMMIT_TAG", "")
    if env.get("CI_COMMIT_SHA"):
        name = env.get("CI_COMMIT_REF_NAME") or env.get("CI_COMMIT_REF_SLUG", "")
        return ("" if tag else env.get("CI_COMMIT_BRANCH") or name), tag
    if env.get("GITHUB_REF_TYPE") == "tag":
        return "", env.get("GITHUB_REF_NAME", "")
    return env.get("GITHUB_HEAD_REF") or env.get("GITHUB_REF_NAME", ""), ""


def full(ref: str, root: Path = Path()) -> str:
    """Return the full hash of a ref's commit; empty if git does not know the ref."""
    with suppress(TaskError):
        return git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", root=root)
    return ""


def has_branch(name: str, commit: str = "", root: Path = Path()) -> bool:
    """Whether git knows a branch, here or in a remote; with a commit, one that contains it."""
    contains = [f"--contains={commit}"] if commit else []
    with suppress(TaskError):
        refs = (f"refs/heads/{name}", f"refs/remotes/*/{name}")
        found = git("for-each-ref", "--format=%(refname)", *contains, *refs, root=root)
        # Git also lists those below a name, such as fix/login for fix.
        return any(ref.endswith(f"/{name}") for ref in found.splitlines())
    return False


def commits(root: Path = Path()) -> dict[str, list[str]]:
    """Return all commits, the newest first, with the branches and tags that point at each.

    Empty outside of a clone.
    """
    with suppress(TaskError):
        lines = git("log", "--all", "--format=%H %D", root=root).splitlines()
        pairs = (line.partition(" ") for line in lines)
        return {commit: re.findall(r"(?:tag: )?([^ ,]+)", refs) for commit, _, refs in pairs}
    return {}


def precedes(first: str, second: str, root: Path = Path()) -> bool:
    """Whether git knows that a commit comes before another one; a shallow clone may not know."""
    if not (full(first, root) and full(second, root)):
        return False
    with suppress(TaskError):
        git("merge-base", "--is-ancestor", first, second, root=root)
        return True
    return False


def pipeline(env: Mapping[str, str] = os.environ) -> str:
    """Return the commit of the pipeline that this is; empty outside of CI."""
    return env.get("CI_COMMIT_SHA") or env.get("GITHUB_SHA") or ""


def between(old: str, new: str, root: Path = Path()) -> list[str]:
    """Return the commits from one to another, one a line; "-" marks those only in the old one.

    Raises TaskError if the clone lacks one of the two, as a shallow clone does.
    """
    for commit in (old, new):
        if not full(commit, root):
            what = f"commit {commit[:12]} is not in this clone"
            raise TaskError(what, "git fetch --unshallow", ExitCode.REFUSED)
    listed = git("log", "--left-right", "--format=%m %h %s", f"{old}...{new}", root=root)
    return [("-" if line[0] == "<" else "+") + line[1:] for line in listed.splitlines()]


def git(*arguments: str, root: Path = Path(), errors: str = "replace") -> str:
    """Run git, and return its stdout. Raises TaskError, with its message, if it fails.

    Args:
        errors: what becomes of bytes that are not UTF-8, as for open().
    """
    # The user's own configuration must not add lines, such as signatures, or colours.
    plain = ["-c", "log.showSignature=false", "-c", "color.ui=false", "-c", "core.quotePath=false"]
    try:
        done = subprocess.run(
            ["git", *plain, *arguments], cwd=root, capture_output=True, encoding="utf-8",
            errors=errors, check=True,
        )  # fmt: skip
    except FileNotFoundError:
        raise TaskError("git is not installed", "install git") from None
    except subprocess.CalledProcessError as error:
        raise _failure(arguments[0], error.stderr) from None
    return done.stdout.strip()


def _failure(verb: str, stderr: str) -> TaskError:
    """Return what git's error means, and what to do."""
    if found := re.search(r"dubious ownership in repository at '(.+)'", stderr):
        what = f"git {verb}: {found[1]} belongs to another user"
        return TaskError(what, f"git config --global --add safe.directory '{found[1]}'")
    lines = stderr.strip().splitlines() or ["no output"]
    fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    message = (fatal or lines[-1:])[0]
    hint = "make a first commit" if "any commits yet" in message else "run this in a git clone"
    return TaskError(f"git {verb}: {message}", hint)


def files(root: Path = Path()) -> list[Path]:
    """Return the tracked files that exist, and the untracked ones that are not ignored."""
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = git(*words, root=root, errors="surrogateescape")
    return sorted({root / name for name in listed.split("\0") if name and (root / name).is_file()})
