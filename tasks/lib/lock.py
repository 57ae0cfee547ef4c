"""The locked requirements: every *.in compiled to a *.txt with hashes, by uv."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import process
from .settings import ROOT

if TYPE_CHECKING:
    from invoke import Context

# In this order: each may constrain itself by the locks before it.
NAMES = ("app", "test", "dev", "tasks", "browser")


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
        words += [f"requirements/{name}.in", "--output-file", f"requirements/{name}.txt"]
        process.run(ctx, [process.tool("uv"), *words], check=True)
        if lock.read_bytes() != before:
            changed.append(f"requirements/{name}.txt")
    return changed
