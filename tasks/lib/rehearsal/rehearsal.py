"""Where a rehearsal takes place: a clean clone of this commit, and a lab."""

from __future__ import annotations

import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from .. import console, process
from ..docker import client, compose
from ..environments import healthcheck
from ..errors import TaskError
from ..lab import state
from ..lab.lab import Lab
from ..project import git
from ..project.settings import MANY, ROOT
from ..registry import credentials
from ..registry.client import Registry
from ..registry.reference import Reference
from ..registry.session import Session
from .gitlab_ci_local import BROKEN, STATE, Event, Job, Runner

if TYPE_CHECKING:
    from invoke import Context


@dataclass
class PipelineRun:
    """An event's pipeline that was run: of which commit, and its jobs."""

    event: Event
    commit: str
    jobs: Sequence[Job]

    @property
    def broken(self) -> list[Job]:
        """The jobs that failed, and that the pipeline does not go on without."""
        return [job for job in self.jobs if job.state == BROKEN]

    @property
    def deployed(self) -> list[dict[str, str]]:
        """What its deploys handed on: where each answers, and what runs there."""
        return [job.handed for job in self.jobs if "DEPLOY_URL" in job.handed]

    @property
    def digest(self) -> str:
        """The digest that its build handed on; empty when there was none."""
        found = (job.handed.get("IMAGE_DIGEST", "") for job in self.jobs)
        return next(filter(None, found), "")


@dataclass
class Workspace:
    """A clean clone and a lab, and what was done there.

    Args:
        main: the default branch's name.
        variables: what the lab told of itself, secrets too.
        settings: the lab's.
    """

    ctx: Context
    clone: Path
    runner: Runner
    main: str
    variables: Mapping[str, str]
    settings: Mapping[str, Any]
    began: float
    acts: list[PipelineRun] = field(default_factory=list)

    def play(self, event: Event) -> PipelineRun:
        """Run an event's pipeline on the commit that the clone is at.

        Raises TaskError when one of its jobs failed.
        """
        act = PipelineRun(event, self.commit, [])
        console.step(f"{event.name} {act.commit[:12]}")
        self.acts.append(act)
        act.jobs = self.runner.run(event)
        if act.broken:
            names = ", ".join(job.name for job in act.broken)
            for line in act.broken[0].log[-25:]:
                console.say(f"    {line}")
            raise TaskError(f"{event.name}: {names} failed", "its last lines are above")
        return act

    def git(self, *words: str) -> None:
        """Run git in the clone."""
        who = ["-c", "user.name=rehearsal", "-c", "user.email=rehearsal@localhost"]
        process.run(self.ctx, ["git", "-C", str(self.clone), *who, *words], check=True)

    @property
    def commit(self) -> str:
        """The commit that the clone is at."""
        return "" if self.ctx.config.run.dry else git.git("rev-parse", "HEAD", root=self.clone)

    def verify(self, act: PipelineRun, now: PipelineRun) -> None:
        """See that what an act deployed is what another's build made, and that it answers.

        Raises TaskError when nothing was deployed, or the image or the answer is another one.
        """
        if not act.deployed and act.jobs:
            raise TaskError(
                f"{act.event.name}: no job tells what it deployed", "see .gitlab-ci.yml"
            )
        for each in act.deployed:
            url, image = each["DEPLOY_URL"], each["DEPLOY_IMAGE"]
            if image.rpartition("@")[2] != now.digest:
                raise TaskError(f"{url} got {image}, build made {now.digest}", "see the logs")
            healthcheck.verify(url, now.commit)
            if act is now:
                self._released(url, now)

    def _released(self, url: str, act: PipelineRun) -> None:
        """See that the registry's tag of the environment at an address is an act's digest."""
        places = self.settings["environments"]
        name = next(name for name, each in places.items() if each["url"] == url)
        if name.endswith(MANY):
            return
        image = Reference.parse(self.settings["registry"]["image"])
        login = credentials.find(image.host, self.variables)
        released = Registry(image, Session(image.host, login)).digest(name)
        if released != act.digest:
            raise TaskError(
                f"{image.tagged(name)} is {released}, build made {act.digest}", "inv images"
            )


@contextmanager
def staged(ctx: Context, lab: Lab, keep: bool) -> Iterator[Workspace]:
    """A clean clone and a lab; both are gone afterwards, unless the lab is kept or was there."""
    began = time.monotonic()
    if git.read(ROOT).dirty:
        console.warn("the commit is rehearsed: what is not committed is left out")
    keep = keep or state.load(lab.folder) is not None
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        clone, home = Path(folder, lab.settings.project.name), Path(folder, "home")
        try:
            variables = _variables(lab.up(0))
            file = variables.get("INVOKE_RUNTIME_CONFIG")
            settings = yaml.safe_load(Path(file).read_text("utf-8")) if file else {}
            runner = Runner(ctx, clone, home)
            main = lab.settings.registry.main
            stage = Workspace(ctx, clone, runner, main, variables, settings, began)
            _clone(stage, lab.settings.project.source)
            if settings:
                runner.give(_given(variables, settings))
            yield stage
        finally:
            image = compose.project_name(lab.settings.project.name, clone, "test")
            if client.has(ctx, image):
                client.remove(ctx, image)
            if not keep:
                lab.down()


def _variables(exports: str) -> dict[str, str]:
    """What lines for the shell set."""
    words = [word for word in shlex.split(exports) if word != "export"]
    return dict(word.split("=", 1) for word in words)


def _given(variables: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, str]:
    """What the project has as variables in GitLab: nothing that only the servers may know."""
    names = ("CI_REGISTRY", "SSH_", "INVOKE_RUNTIME_CONFIG")
    given = {key: value for key, value in variables.items() if key.startswith(names)}
    return given | {"CI_REGISTRY_IMAGE": settings["registry"]["image"]}


def _clone(stage: Workspace, origin: str) -> None:
    """Make the clone, as a runner of GitLab does, and its environment."""
    console.step("a clean clone")
    clone, head = str(stage.clone), f"refs/remotes/origin/{stage.main}"
    process.run(stage.ctx, ["git", "clone", "--quiet", str(ROOT), clone], check=True)
    stage.git("checkout", "--quiet", "--detach")
    # From these gitlab-ci-local tells the project's name and its default branch.
    stage.git("remote", "add", "gcl-origin", f"{origin}.git")
    stage.git("symbolic-ref", "refs/remotes/origin/HEAD", head)
    if not stage.ctx.config.run.dry:
        # Else its folder would make the files differ from the commit.
        (stage.clone / ".git/info/exclude").write_text(f"{STATE}/\n", "utf-8")
    process.run(stage.ctx, [str(stage.clone / "inv"), "--version"], check=True)
