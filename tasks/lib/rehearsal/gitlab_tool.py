"""gitlab-ci-local, with which GitLab's pipelines run without GitLab; installed as it is locked."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from .. import console, process
from ..errors import ExitCode, TaskError
from ..project.settings import ROOT

if TYPE_CHECKING:
    from invoke import Context

LOCK = ROOT / "requirements/node"
TOOLS = ROOT / ".lab/.tools"
TOOL = TOOLS / "node_modules/.bin/gitlab-ci-local"


def install(ctx: Context) -> None:
    """Install gitlab-ci-local, as it is locked, into a folder of this clone.

    Raises TaskError when the machine lacks what it takes.
    """
    for name, package in {"npm": "Node.js 20 or later", "rsync": "rsync", "git": "git"}.items():
        if not shutil.which(name):
            raise TaskError(f"{name} is not installed", f"install {package}", ExitCode.REFUSED)
    mark = TOOLS / "package-lock.json"
    if TOOL.exists() and mark.read_bytes() == (LOCK / mark.name).read_bytes():
        return
    console.step("installing gitlab-ci-local")
    if not ctx.config.run.dry:
        shutil.rmtree(TOOLS, ignore_errors=True)
        shutil.copytree(LOCK, TOOLS)
    words = ["--prefix", str(TOOLS), "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    if process.run(ctx, ["npm", "ci", *words]):
        raise TaskError("npm could not install gitlab-ci-local", "see above, then run it again")
