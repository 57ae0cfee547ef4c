"""Checks this machine for what the tasks need."""

import platform
import shutil
import sys
from typing import Literal

import msgspec
from invoke import Context

from ..console import table
from ..docker import client
from ..errors import TaskError
from ..project import git
from ..project.settings import ROOT, Settings
from ..reports import Report
from . import contract_check
from .base import claim
from .python import OWN, TEAM


class Finding(msgspec.Struct, frozen=True):
    """One thing that was checked: its state (ok, missing: works without, wrong), and the fix.

    Args:
        lines: to add to a file, as the fix says.
    """

    state: Literal["ok", "missing", "wrong"]
    what: str
    detail: str
    fix: str = ""
    lines: str = ""


class Diagnosis(Report, frozen=True, kw_only=True, tag="doctor"):
    """What was checked on this machine and in the repository."""

    findings: list[Finding]

    def text(self) -> str:
        """Return a table, and the lines to add."""
        rows = [(each.state, each.what, each.detail, each.fix) for each in self.findings]
        lines = [
            f"\n{each.what}: {each.detail} - {each.fix}:\n\n{each.lines}"
            for each in self.findings
            if each.lines
        ]
        return "\n".join([table(rows), *lines])


def check(ctx: Context, settings: Settings) -> Diagnosis:
    """Check everything that the tasks rely on; change nothing."""
    version, why = _engine(ctx)
    findings = [
        Finding("ok", "python", f"{platform.python_version()} in {sys.prefix}"),
        Finding("ok", "the app's python", str(TEAM if TEAM.exists() else OWN)),
        Finding("ok", "invoke.yaml", "every key known, every value of its type"),
        *_contract(settings),
        _git(),
        _ssh(),
        _docker(version, why),
        *(_plugin(ctx, name) for name in ("compose", "buildx") if version),
        _port(settings.dev.port),
        _disk(),
    ]
    wrong = [each for each in findings if each.state == "wrong"]
    problems = [f"{each.what}: {each.detail} - {each.fix}" for each in wrong]
    return Diagnosis(findings=findings, problems=problems)


def _contract(settings: Settings) -> list[Finding]:
    found = [Finding("wrong", *problem) for problem in contract_check.check(settings)]
    return found or [Finding("ok", "app", "the repository has all that invoke.yaml names")]


def _git() -> Finding:
    try:
        return Finding("ok", "git", git.git("log", "-1", "--format=%h %s", root=ROOT))
    except TaskError as error:
        return Finding("missing", "git", *str(error).rsplit(" - ", 1))


def _ssh() -> Finding:
    if path := shutil.which("ssh"):
        return Finding("ok", "ssh", path)
    return Finding("missing", "ssh", "not found", "to reach servers, install OpenSSH's client")


def _engine(ctx: Context) -> tuple[str, str]:
    """Return the version of the engine, or why docker cannot use it; both empty without one."""
    try:
        return client.version(ctx), ""
    except TaskError as error:
        return "", str(error)


def _docker(version: str, why: str) -> Finding:
    if version:
        return Finding("ok", "docker engine", version)
    if why:
        return Finding("wrong", "docker engine", *why.rsplit(" - ", 1))
    fix = "start Docker (bare Debian: lab/engine up); until then --engine=host is used"
    if not shutil.which("docker"):
        fix = "install Docker; until then --engine=host is used"
    return Finding("missing", "docker engine", "no engine answers", fix)


def _plugin(ctx: Context, name: str) -> Finding:
    if version := client.plugin(ctx, name):
        return Finding("ok", f"docker {name}", version)
    return Finding("wrong", f"docker {name}", "not found", f"install docker's {name} plugin")


def _port(port: int) -> Finding:
    try:
        claim(port)
    except TaskError:
        fix = f"inv down, or inv dev --port {port + 1}"
        return Finding("missing", f"port {port}", "in use, maybe by inv dev", fix)
    return Finding("ok", f"port {port}", "free")


def _disk() -> Finding:
    free = shutil.disk_usage(ROOT).free
    room = f"{free / 1e9:.0f} GB free"
    if free >= 3e9:
        return Finding("ok", "disk", room)
    return Finding("wrong", "disk", room, "free disk space: docker system prune")
