"""Copies of the work tree, its new files too, each a repository with this environment."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.testbed import commands
from tests.testbed.commands import ROOT, environment, git, output
from tests.testbed.runs import Run

# The seconds that a command may take.
LIMIT = 1800


@dataclass
class Clone:
    """A repository, and commands in it.

    Attributes:
        root: its folder.
    """

    root: Path

    def run(self, *command: str | Path, cwd: Path | None = None, **env: str) -> Run:
        """Run a command to its end. Raises RuntimeError if it fails."""
        return Run(command, cwd or self.root, environment(**env)).succeed(LIMIT)

    def seconds(self, *command: str | Path, cwd: Path | None = None, **env: str) -> float:
        """How long a command takes."""
        return self.run(*command, cwd=cwd, **env).seconds

    def append(self, path: str, text: str) -> None:
        """Add to the end of a file."""
        with (self.root / path).open("a") as file:
            file.write(text)

    def commit(self, message: str) -> str:
        """Commit all that is in it; returns the commit."""
        return commit(self.root, message)


def make_clone(folder: Path) -> Path:
    """Copy what git tracks or would to a new folder, and commit it on the branch main."""
    listed = output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    lend_venv(folder)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "a clone")
    return folder


def lend_venv(folder: Path) -> None:
    """Give a copy the environments here, and the stamp by which `./inv` takes them for its own."""
    if not (ROOT / ".inv/app").exists():
        commands.inv("manage", "version", "--engine=host")
    for own in (".inv/venv", ".inv/app"):
        (folder / own).mkdir(parents=True)
        for name in ("bin", "lib", "pyvenv.cfg"):
            (folder / own / name).symlink_to(ROOT / own / name)
    (folder / ".inv/.gitignore").write_text("*\n")
    stamp = (ROOT / ".inv/stamp").read_text().replace(str(ROOT), str(folder), 1)
    (folder / ".inv/stamp").write_text(stamp)


def into_folder(root: Path, packages: list[str], folder: str) -> Path:
    """Move a copy's project into a folder, as `app.folder` in its invoke.yaml says."""
    (root / folder).mkdir()
    git(root, "mv", "manage.py", *packages, folder)
    file = root / "invoke.yaml"
    file.write_text(file.read_text().replace("  # folder: backend\n", f"  folder: {folder}\n"))
    commit(root, "moved")
    return root


def commit(root: Path, message: str, **env: str) -> str:
    """Commit all that is in a repository, even with nothing changed; return the commit."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", message, **env)
    return git(root, "rev-parse", "HEAD")
