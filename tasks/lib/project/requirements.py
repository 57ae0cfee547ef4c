"""The locked requirements: every *.in compiled to a *.txt with hashes, and installed, by uv."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import process
from ..errors import TaskError
from .settings import ROOT

if TYPE_CHECKING:
    from invoke import Context

# In this order: each may constrain itself by the locks before it.
NAMES = ("app", "test", "dev", "tasks", "browser", "checks")
# What is laid over others in the image, and names nothing that those have.
OVER = {"test": ("app",), "dev": ("app", "test")}

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ; (.+?))? \\?$", re.MULTILINE)


@dataclass(frozen=True)
class Pin:
    """A locked package.

    Args:
        marker: where it is installed at all, as `sys_platform == "win32"`; empty for everywhere.
        file: the lock file.
    """

    name: str
    version: str
    marker: str
    file: str


def pins(*names: str) -> list[Pin]:
    """The packages that lock files name; without any name, all lock files."""
    files = [Path("requirements", f"{name}.txt") for name in names or NAMES]
    return [
        Pin(name, version, marker, file.as_posix())
        for file in files
        for name, version, marker in PIN.findall(file.read_text("utf-8"))
    ]


def compile(ctx: Context, upgrade: bool) -> list[str]:
    """Compile every lock file for Python 3.11 and later, any platform.

    Returns the lock files that changed. Raises CalledProcessError when uv finds no solution.
    """
    folder = ROOT / "requirements"
    changed = []
    for name in NAMES:
        lock = folder / f"{name}.txt"
        before = lock.read_bytes() if lock.exists() else b""
        words = ["pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes"]
        words += ["--no-emit-index-url", "--no-header", "--quiet", *(["--upgrade"] * upgrade)]
        known = pins(*OVER[name]) if name in OVER else []
        words += [f"--no-emit-package={pin.name}" for pin in known]
        words += [f"requirements/{name}.in", "--output-file", f"requirements/{name}.txt"]
        process.run(ctx, [process.tool("uv"), *words], check=True)
        if lock.read_bytes() != before:
            changed.append(f"requirements/{name}.txt")
    return changed


def install(ctx: Context, name: str, what: str) -> None:
    """Add what a lock file names to this environment, unless it is there.

    Args:
        what: what it is for, should it fail.
    """
    checked = [process.tool("uv"), "pip", "install", "--require-hashes", "--quiet"]
    # By the folder's own name, whatever link leads there: the tools' first lines have it.
    here = Path(sys.executable)
    python = here.parent.resolve() / here.name
    where = ["--python", str(python), "-r", f"requirements/{name}.txt"]
    try:
        process.run(ctx, checked + where, env={"UV_COMPILE_BYTECODE": "1"}, check=True)
    except subprocess.CalledProcessError:
        raise TaskError(
            f"could not install {what}", "check the network, then run it again"
        ) from None
