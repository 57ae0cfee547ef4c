"""What this machine has, and what is wrong with it for the work here."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass

from .. import console
from ..docker import client
from ..errors import TaskError
from ..project import git
from ..project.settings import ROOT, Settings
from .base import claim

GIGABYTE = 10**9


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its state (ok, missing: works without, wrong), and what mends it."""

    state: str
    what: str
    detail: str
    mend: str = ""


def look(settings: Settings) -> list[Finding]:
    """Look at everything that the tasks rely on; nothing is changed."""
    answer = client.version()
    return [
        Finding("ok", "python", f"{platform.python_version()} in {sys.prefix}"),
        Finding("ok", "invoke.yaml", "every key known, every value of its type"),
        _git(),
        _docker(answer),
        *(_plugin(name) for name in ("compose", "buildx") if answer),
        _port(settings.dev.port),
        _disk(),
    ]


def _git() -> Finding:
    try:
        return Finding("ok", "git", git.git("log", "-1", "--format=%h %s", root=ROOT))
    except TaskError as error:
        return Finding("missing", "git", str(error), "git init && git commit, or clone again")


def _docker(answer: str) -> Finding:
    if answer:
        return Finding("ok", "docker engine", answer)
    mend = "start Docker (bare Debian: lab/engine up); until then --engine=host is used"
    if not shutil.which("docker"):
        mend = "install Docker; until then --engine=host is used"
    return Finding("missing", "docker engine", "none answers", mend)


def _plugin(name: str) -> Finding:
    found = client.plugin(name)
    if found:
        return Finding("ok", f"docker {name}", found)
    return Finding("wrong", f"docker {name}", "not there", f"install docker's {name} plugin")


def _port(port: int) -> Finding:
    try:
        claim(port)
    except TaskError:
        mend = f"inv down, or inv dev --port {port + 1}"
        return Finding("missing", f"port {port}", "in use, maybe by inv dev", mend)
    return Finding("ok", f"port {port}", "free")


def _disk() -> Finding:
    free = shutil.disk_usage(ROOT).free
    detail = f"{free / GIGABYTE:.0f} GB free"
    if free < 3 * GIGABYTE:
        return Finding("wrong", "disk", detail, "free some: docker system prune")
    return Finding("ok", "disk", detail)


def text(findings: list[Finding]) -> str:
    """The findings as a table, what mends them last."""
    return console.table([(each.state, each.what, each.detail, each.mend) for each in findings])
