"""The source: which commit, branch and tag this is, and which files it has; from git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .errors import Failed


def git(*arguments: str, root: Path = Path()) -> str:
    """What a git command prints. Raises Failed with git's own words when it fails."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise Failed("git is not installed", "install git") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["it says nothing"]
        raise Failed(f"git {arguments[0]}: {said[-1]}", "run this in a git clone") from None
    return done.stdout.strip()


def files(root: Path = Path()) -> list[Path]:
    """The files that git tracks, and new ones that it does not ignore, as they are on disk."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", root=root)
    return sorted({root / name for name in listed.split("\0") if name and (root / name).is_file()})


def is_shell(path: Path) -> bool:
    """Whether a file is a shell script: by its name or its first line."""
    if path.suffix == ".sh":
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        first = file.readline(64)
    return first.startswith(b"#!") and first.split()[-1].split(b"/")[-1] in {b"sh", b"bash", b"dash"}
