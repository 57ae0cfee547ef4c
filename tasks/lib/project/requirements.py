"""The locked requirements: uv compiles every *.in to a *.txt with hashes, and installs it."""

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from invoke import Context

from .. import console, files, process
from ..errors import TaskError
from .settings import ROOT

# Each file with those that it is installed on, whose packages it omits. A later one may be bound
# to the versions of an earlier one; but the pipeline is never bound to those of the app.
BASES: dict[str, tuple[str, ...]] = {
    "app": (),
    "test": ("app",),
    "dev": ("app", "test"),
    "types": ("app", "test"),
    "reporting": ("app",),
    "tasks": (),
    "lint": ("tasks",),
    "kubernetes": ("tasks",),
    "binaries": (),
    "act": (),
    "checks": ("tasks", "lint"),
    "selftest": ("tasks", "lint"),
    "browser": ("tasks", "selftest"),
    "data": (),
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
COMPILE = ("pip", "compile", "--universal", "--python-version")
# Beside the packages of an environment: which files were installed there, by their hash.
PACKAGES, INSTALLED = "lib/*/site-packages", "inv-installed.json"
HINT = "see above; for a mirror set PIP_INDEX_URL and UV_DEFAULT_INDEX, then retry"

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ; (.+?))? \\?$", re.MULTILINE)


class Pin(NamedTuple):
    """A package that a file locks; the marker says where it is installed, empty for everywhere."""

    name: str
    version: str
    marker: str
    file: str


def pins(*names: str) -> list[Pin]:
    """Return the packages of some requirements files; without names, of all that are here."""
    files = [Path(f"requirements/{name}.txt") for name in names or BASES]
    return [pin for file in files if names or file.is_file() for pin in read(file)]


def read(file: Path) -> list[Pin]:
    """Return the packages that a file locks."""
    return [Pin._make((*found, file.as_posix())) for found in PIN.findall(file.read_text("utf-8"))]


def compile(ctx: Context, upgrade: bool) -> list[str]:
    """Lock all requirements, for any platform, and Python 3.11 or the oldest that the app can have.

    Returns the files that changed. Raises CalledProcessError if uv finds no solution.
    """
    changed, oldest = [], _oldest(ctx)
    for name, bases in BASES.items():
        if not (ROOT / f"requirements/{name}.in").is_file():
            continue  # what the pipeline's own tests need is not in a project
        file = ROOT / f"requirements/{name}.txt"
        before = file.read_bytes() if file.exists() else b""
        python = oldest if "app" in (name, *bases) else PYTHONS[0]
        words = [*COMPILE, python, "--generate-hashes"]
        words += ["--no-emit-index-url", "--no-header", "--quiet", *(["--upgrade"] * upgrade)]
        present = pins(*bases) if bases else []
        words += [f"--no-emit-package={pin.name}" for pin in present]
        words += [f"requirements/{name}.in", "--output-file", f"requirements/{name}.txt"]
        process.run(ctx, [process.tool("uv"), *words], check=True)
        if file.read_bytes() != before:
            changed.append(f"requirements/{name}.txt")
    return changed


def _oldest(ctx: Context) -> str:
    """Return the oldest Python for which the app's requirements have a solution."""
    uv = process.tool("uv")
    if not (ROOT / "requirements/app.in").is_file():
        return PYTHONS[0]
    for python in PYTHONS:
        if not process.look(
            ctx, [uv, *COMPILE, python, "--quiet", "requirements/app.in"]
        ).returncode:
            return python
    return PYTHONS[0]


def install(ctx: Context, *names: str) -> None:
    """Install requirements files into the pipeline's environment, unless they are there."""
    # Not by a link to the folder: the installed scripts' first lines have this path.
    here = Path(sys.executable)
    with _locked():
        _add(ctx, here.parent.resolve() / here.name, Path(sysconfig.get_path("purelib")), names)


def install_some(ctx: Context, name: str) -> None:
    """Install those packages of a file that this platform has; the others are left out."""
    text = (ROOT / f"requirements/{name}.txt").read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for number, block in enumerate(re.split(r"\n(?=\S+==)", text)):
            file = Path(folder, f"{number}.txt")
            file.write_text(block + "\n", "utf-8")
            process.look(ctx, _uv(Path(sys.executable), [file]))


def make(ctx: Context, folder: Path, *names: str) -> Path:
    """Make an environment with requirements files, or add them to it; return its Python."""
    python = folder / "bin/python"
    with _locked():
        before = _installed(next(folder.glob(PACKAGES), folder)) if python.exists() else {}
        if not before or any(before.get(name, _mark(name)) != _mark(name) for name in names):
            # Made again, so that packages which a file no longer has are gone.
            base = getattr(sys, "_base_executable", sys.executable)
            words = ["venv", "--quiet", "--clear", f"--python={base}", str(folder)]
            process.run(ctx, [process.tool("uv"), *words], check=True)
        _add(ctx, python, next(folder.glob(PACKAGES), folder), names)
    return python


@contextmanager
def _locked() -> Iterator[None]:
    """Wait for another task that installs here, and keep others waiting."""
    with files.locked(files.own_folder(ROOT / ".inv")):
        yield


def _add(ctx: Context, python: Path, packages: Path, names: Sequence[str]) -> None:
    """Install those files into an environment that are not there as they are."""
    before = _installed(packages)
    if not (wanted := [name for name in names if before.get(name) != _mark(name)]):
        return
    console.say(f"installing {', '.join(wanted)} into {python.parents[1]} ...")
    paths = [ROOT / f"requirements/{name}.txt" for name in wanted]
    # uv does not read pip's configuration; if it cannot reach a package, pip may.
    pip = [sys.executable, "-m", "pip", f"--python={python}", *_options(paths)]
    env = {"UV_COMPILE_BYTECODE": "1", **_mirror()}
    if process.run(ctx, _uv(python, paths), env) and process.run(ctx, pip):
        raise TaskError(f"could not install {', '.join(map(str, paths))}", HINT)
    if not ctx.config.run.dry:
        text = json.dumps(before | {name: _mark(name) for name in wanted})
        (packages / INSTALLED).write_text(text, "utf-8")


def _uv(python: Path, paths: Sequence[Path]) -> list[str]:
    return [process.tool("uv"), "pip", *_options(paths), f"--python={python}"]


def _options(paths: Sequence[Path]) -> list[str]:
    # The files have all packages: a resolver is not needed, and pip 23's fails at extras.
    given = [word for path in paths for word in ("-r", str(path))]
    return ["install", "--quiet", "--no-deps", "--require-hashes", *given]


def _mirror() -> dict[str, str]:
    """Return the variable by which uv gets the mirror of pip's configuration."""
    if {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & {*os.environ}:
        return {}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
    )
    found = re.search(r"\.index-url='(.+)'", listed.stdout)
    return {"UV_DEFAULT_INDEX": found[1]} if found else {}


def _mark(name: str) -> str:
    """Return the hash of a file, and of the Python that it is installed for."""
    content = (ROOT / f"requirements/{name}.txt").read_bytes()
    return hashlib.sha256(content + os.path.realpath(sys.executable).encode()).hexdigest()


def _installed(packages: Path) -> dict[str, str]:
    """Return the hash of each file that was installed into an environment."""
    file = packages / INSTALLED
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}
