"""A copy of the work tree to measure on, and commands in it; nothing of it stays."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Seconds that an interrupted command may take to end.
GRACE = 15
# What a change changes, and who commits it.
CHANGED = "myapp/views.py"
GIT = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.com"]
# What would change what is measured.
FOREIGN = re.compile(r"CI|INVOKE_.*|COMPOSE_.*|DJANGO_.*|COVERAGE_.*|PYTEST_.*|BUILDKIT_.*")


class Scratch:
    """A temporary folder with a copy of the work tree, as a fresh clone has it.

    Attributes:
        mark: a name of its own, which every container, network, volume and image bears that is
            made for measuring.
        folder: the temporary folder.
        tree: the copy of the work tree in it.
    """

    def __init__(self, prune: bool = False) -> None:
        self.mark = f"bench-{secrets.token_hex(4)}"
        self.prune = prune
        self.numbers = count(1)
        self.folder = Path(tempfile.gettempdir()) / self.mark
        self.tree = self.folder / self.mark
        self.env = {key: v for key, v in os.environ.items() if not FOREIGN.fullmatch(key)}

    def __enter__(self) -> Scratch:
        try:
            self._copy()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Remove everything, whatever happened; a second Ctrl-C does not stop that."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if shutil.which("docker"):
            sweep(self.mark)
            if self.prune:
                self.docker("builder", "prune", "--all", "--force")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _copy(self) -> None:
        """Copy what git tracks or would, and give it this .venv."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.tree / name)
        (self.tree / ".venv").mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (self.tree / ".venv" / name).symlink_to(ROOT / ".venv" / name)
        stamp = (ROOT / ".venv/.requirements").read_text().replace(str(ROOT), str(self.tree), 1)
        (self.tree / ".venv/.requirements").write_text(stamp)

    @property
    def bin(self) -> Path:
        """Where the tools of the copy's .venv are."""
        return self.tree / ".venv/bin"

    def run(self, *command: str | Path, cwd: Path | None = None, **env: str) -> str:
        """What a command prints, run in the copy. Raises RuntimeError with that if it fails."""
        status, lines = self.timed(*command, cwd=cwd, **env)
        output = "".join(line for _, line in lines)
        if status:
            words = " ".join(map(str, command))
            raise RuntimeError(f"{words} ended with {status}:\n{output}")
        return output

    def timed(
        self, *command: str | Path, cwd: Path | None = None, **env: str
    ) -> tuple[int, list[tuple[float, str]]]:
        """The exit status of a command run in the copy, and each line it prints with its time."""
        child = subprocess.Popen(
            command, cwd=cwd or self.tree, env={**self.env, **env}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            lines = [(time.time(), line) for line in child.stdout or ()]
            return child.wait(), lines
        except BaseException:
            end(child)
            raise

    def seconds(self, *command: str | Path, cwd: Path | None = None, **env: str) -> float:
        """How long a command takes."""
        began = time.perf_counter()
        self.run(*command, cwd=cwd, **env)
        return time.perf_counter() - began

    def change(self) -> None:
        """Add one line to the code."""
        with (self.tree / CHANGED).open("a") as file:
            file.write(f"# Change {next(self.numbers)}\n")

    def commit(self) -> str:
        """Commit what is in the copy, as a repository of its own; returns the commit."""
        if not (self.tree / ".git").exists():
            self.run(*GIT, "init", "--quiet", "--initial-branch=main")
        self.run(*GIT, "add", "--all")
        self.run(*GIT, "commit", "--quiet", "--message=a change")
        return self.run("git", "rev-parse", "HEAD").strip()

    def docker(self, *words: str) -> str:
        """What a docker command prints."""
        return self.run("docker", *words, cwd=Path("/"))


def end(child: subprocess.Popen[str]) -> None:
    """Interrupt a command and what it started; kill them when they take more than GRACE seconds."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.communicate(timeout=GRACE)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def sweep(mark: str) -> None:
    """Remove every container, network, volume, image and cache record that bears the mark."""
    kinds = {
        "container": (["ls", "--all", "--format={{.Names}}"], ["rm", "--force", "--volumes"]),
        "network": (["ls", "--format={{.Name}}"], ["rm"]),
        "volume": (["ls", "--format={{.Name}}"], ["rm", "--force"]),
        "image": (["ls", "--format={{.Repository}}:{{.Tag}}"], ["rm", "--force"]),
    }
    for kind, (listing, removal) in kinds.items():
        names = [name for name in _docker(kind, *listing).split() if mark in name]
        if names:
            _docker(kind, *removal, *names)
    for identity in cache_records(mark, _docker("buildx", "du", "--verbose")):
        _docker("builder", "prune", "--force", "--all", "--filter", f"id={identity}")


def cache_records(mark: str, listing: str) -> list[str]:
    """The ids of build cache records that bear the mark or build on one that does; youngest first.

    Args:
        listing: what `docker buildx du --verbose` prints.
    """
    parents: dict[str, str] = {}
    ours: list[str] = []
    for record in listing.split("\n\n"):
        if found := re.search(r"^ID:\s+(\w+)", record, re.MULTILINE):
            parents[found[1]] = " ".join(re.findall(r"^Parents?:\s+(.+)", record, re.MULTILINE))
            if mark in record:
                ours.append(found[1])
    for identity in ours:
        ours += [child for child, of in parents.items() if identity in of and child not in ours]
    return ours[::-1]


def _docker(*words: str) -> str:
    """What a docker command prints; a failure is told, and does not end the tidying."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    if done.returncode:
        print(f"bench: docker {' '.join(words)}: {done.stderr.strip()}", file=sys.stderr)
    return done.stdout
