"""The locked requirements: uv compiles every *.in to a *.txt with hashes, and installs it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from invoke import Context

from .. import process
from ..errors import TaskError
from .settings import ROOT

# In this order: a later one may be constrained by an earlier one.
NAMES = ("app", "test", "dev", "tasks", "browser", "checks")
# Layers of the image: each omits the packages of those that it is installed on.
BASES = {"test": ("app",), "dev": ("app", "test")}

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ; (.+?))? \\?$", re.MULTILINE)


class Pin(NamedTuple):
    """A package that a file locks; the marker says where it is installed, empty for everywhere."""

    name: str
    version: str
    marker: str
    file: str


def pins(*names: str) -> list[Pin]:
    """Return the packages of some requirements files; without names, of all."""
    files = [Path(f"requirements/{name}.txt") for name in names or NAMES]
    return [
        Pin._make((*found, file.as_posix()))
        for file in files
        for found in PIN.findall(file.read_text("utf-8"))
    ]


def compile(ctx: Context, upgrade: bool) -> list[str]:
    """Lock all requirements, for Python 3.11 and later on any platform.

    Returns the files that changed. Raises CalledProcessError if uv finds no solution.
    """
    changed = []
    for name in NAMES:
        file = ROOT / f"requirements/{name}.txt"
        before = file.read_bytes() if file.exists() else b""
        words = ["pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes"]
        words += ["--no-emit-index-url", "--no-header", "--quiet", *(["--upgrade"] * upgrade)]
        present = pins(*BASES[name]) if name in BASES else []
        words += [f"--no-emit-package={pin.name}" for pin in present]
        words += [f"requirements/{name}.in", "--output-file", f"requirements/{name}.txt"]
        process.run(ctx, [process.tool("uv"), *words], check=True)
        if file.read_bytes() != before:
            changed.append(f"requirements/{name}.txt")
    return changed


def install(ctx: Context, name: str, what: str) -> None:
    """Install a requirements file into this virtual environment; `what` names it in an error."""
    # Not by a link to the folder: the installed scripts' first lines have this path.
    here = Path(sys.executable)
    python = here.parent.resolve() / here.name
    words = ["pip", "install", "--require-hashes", "--quiet", f"--python={python}"]
    command = [process.tool("uv"), *words, "-r", f"requirements/{name}.txt"]
    try:
        process.run(ctx, command, env={"UV_COMPILE_BYTECODE": "1"}, check=True)
    except subprocess.CalledProcessError:
        raise TaskError(f"could not install {what}", "check the network, then retry") from None
