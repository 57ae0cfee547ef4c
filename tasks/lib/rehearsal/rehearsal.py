"""The workspace of a rehearsal: a clean clone of this commit, and a lab to deploy to."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from invoke import Context

from .. import console, process
from ..docker import client, compose
from ..environments import healthcheck
from ..errors import ExitCode, TaskError
from ..lab import state
from ..lab.kubernetes import KUBERNETES
from ..lab.lab import Lab
from ..project import git
from ..project.app_settings import Probes
from ..project.fields import MANY
from ..project.settings import ROOT
from ..registry import credentials
from ..registry.client import Registry
from ..registry.reference import Reference
from ..registry.session import Session
from . import act, gitlab_ci_local
from .gitlab_ci_local import STATE
from .pipeline import Event, PipelineRun

CIS = {"gitlab": gitlab_ci_local, "github": act}
Runner = act.Runner | gitlab_ci_local.Runner


@dataclass
class Workspace:
    """A clean clone and a lab, and the pipelines that ran there.

    Args:
        main: the default branch's name.
        variables: what the lab exports, secrets included.
        probes: the paths that say whether the app works.
        started: the time of time.monotonic() at the start.
    """

    ctx: Context
    clone: Path
    runner: Runner
    main: str
    variables: Mapping[str, str]
    settings: Mapping[str, Any]
    probes: Probes
    started: float
    runs: list[PipelineRun] = field(default_factory=list)

    def run(self, event: Event) -> PipelineRun:
        """Run an event's pipeline on the clone's commit. Raises TaskError when a job fails."""
        run = PipelineRun(event, self.commit, [])
        console.step(f"{event.name} {run.commit[:12]}")
        self.runs.append(run)
        run.jobs = self.runner.run(event)
        if run.broken:
            names = ", ".join(job.name for job in run.broken)
            for line in run.broken[0].log[-25:]:
                console.say(f"    {line}")
            raise TaskError(f"{event.name}: {names} failed: see its last lines above")
        return run

    def git(self, *words: str) -> None:
        """Run git in the clone."""
        identity = ["-c", "user.name=rehearsal", "-c", "user.email=rehearsal@localhost"]
        process.run(self.ctx, ["git", "-C", str(self.clone), *identity, *words], check=True)

    @property
    def commit(self) -> str:
        """The commit that is checked out in the clone."""
        return "" if self.ctx.config.run.dry else git.git("rev-parse", "HEAD", root=self.clone)

    def verify(self, run: PipelineRun, built: PipelineRun) -> None:
        """Check that a run deployed what another (or itself) built. Raises TaskError if not."""
        if not run.deployed and run.jobs:
            raise TaskError(f"{run.event.name}: no job reports a deploy", "see its CI file")
        for deploy in run.deployed:
            url, image = deploy["DEPLOY_URL"], deploy["DEPLOY_IMAGE"]
            if image.rpartition("@")[2] != built.digest:
                raise TaskError(f"{url} runs {image}, but {built.digest} was built", "see the logs")
            healthcheck.verify(url, self.probes, built.commit)
            if run is built:
                self._verify_tag(url, built)

    def _verify_tag(self, url: str, run: PipelineRun) -> None:
        """Check that the registry's tag of the environment at a URL has the digest of a run."""
        environments = self.settings["environments"]
        name = next(name for name, settings in environments.items() if settings["url"] == url)
        if name.endswith(MANY):
            return
        image = Reference.parse(self.settings["registry"]["image"])
        login = credentials.find(image.host, self.variables)
        digest = Registry(image, Session(image.host, login)).digest(name)
        if digest != run.digest:
            what = f"{image.tagged(name)} is {digest}, but {run.digest} was built"
            raise TaskError(what, "see inv images")


@contextmanager
def workspace(
    ctx: Context, lab: Lab, keep: bool, orchestrator: str, ci: str
) -> Iterator[Workspace]:
    """Make a clone and start a lab; remove both in the end, but keep a lab that existed before."""
    started = time.monotonic()
    if git.read(ROOT).dirty:
        console.warn("uncommitted changes are left out: the pipeline runs on the commit")
    known = state.load(lab.folder)
    if KUBERNETES in (orchestrator, known.orchestrator if known else ""):
        hint = "use swarm or compose, and a lab of its own"
        raise TaskError("nothing is rehearsed on Kubernetes", hint, ExitCode.REFUSED)
    keep = keep or known is not None
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        clone = Path(folder, lab.settings.project.name)
        try:
            runner = CIS[ci].Runner(ctx, clone)
            yield _prepare(ctx, lab, runner, started, orchestrator)
        finally:
            image = compose.project_name(lab.settings.project.name, clone, "test")
            if client.has(ctx, image):
                client.remove(ctx, image)
            if not keep:
                lab.down()


def _prepare(
    ctx: Context, lab: Lab, runner: Runner, started: float, orchestrator: str
) -> Workspace:
    """Start the lab, make the clone, and set the project's CI/CD variables."""
    variables = lab.up(0, orchestrator)
    settings = yaml.safe_load((lab.folder / "invoke.yaml").read_text()) if variables else {}
    main, probes = lab.settings.registry.main, lab.settings.app.probes
    made = Workspace(ctx, runner.clone, runner, main, variables, settings, probes, started)
    _clone(made, lab.settings.project.source)
    if settings:
        # None of the secrets that only the servers need.
        names = ("CI_REGISTRY", "SSH_", "INVOKE_RUNTIME_CONFIG")
        chosen = {key: value for key, value in variables.items() if key.startswith(names)}
        runner.set_variables({**chosen, "CI_REGISTRY_IMAGE": settings["registry"]["image"]})
    return made


def install(ctx: Context, ci: str) -> None:
    """Install what runs the pipelines of a CI service. Refuses one that is not known."""
    if ci not in CIS:
        raise TaskError(f"unknown CI {ci!r}", f"use {' or '.join(CIS)}", ExitCode.REFUSED)
    CIS[ci].install(ctx)


def _clone(workspace: Workspace, origin: str) -> None:
    """Make the clone, as GitLab Runner does, and its environment."""
    console.step("a clean clone")
    clone, head = str(workspace.clone), f"refs/remotes/origin/{workspace.main}"
    process.run(workspace.ctx, ["git", "clone", "--quiet", str(ROOT), clone], check=True)
    workspace.git("checkout", "--quiet", "--detach")
    # gitlab-ci-local reads the project's name and its default branch from these.
    workspace.git("remote", "add", "gcl-origin", f"{origin}.git")
    workspace.git("symbolic-ref", "refs/remotes/origin/HEAD", head)
    if not workspace.ctx.config.run.dry:
        # Otherwise its folder would count as uncommitted changes.
        (workspace.clone / ".git/info/exclude").write_text(f"{STATE}/\n", "utf-8")
    process.run(workspace.ctx, [str(workspace.clone / "inv"), "--version"], check=True)
