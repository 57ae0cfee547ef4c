"""GitLab's pipelines on this machine, through gitlab-ci-local: the one door to it."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from .. import console
from ..errors import TaskError
from .gitlab_tool import TOOL

if TYPE_CHECKING:
    from invoke import Context

STATE = ".gitlab-ci-local"
# What another pipeline or shell may have set, and a job must not see.
FOREIGN = re.compile(r"(CI|GITLAB|GITHUB|INVOKE|SSH|COMPOSE|DJANGO|GCL)_.*|CI|VIRTUAL_ENV")
LINE = re.compile(r"(\S+) (starting shell \(|finished in |\$ |> ?)(.*)")
# What is said of a job that says nothing for a while.
SILENT = "still running..."
PASSED, WARNED, BROKEN = "passed", "warning", "failed"
ENDS = {"FAIL": BROKEN, "WARN": WARNED}
# Seconds that what was interrupted may take to end.
GRACE = 20


@dataclass(frozen=True)
class Event:
    """What GitLab makes a pipeline for.

    Args:
        name: what people call it.
        variables: GitLab's own, which tell the jobs about it.
        only: the job that is started by hand in a pipeline that was; empty for a whole pipeline.
    """

    name: str
    variables: Mapping[str, str]
    only: str = ""

    @property
    def words(self) -> list[str]:
        """The event as options of gitlab-ci-local."""
        words = [f"--variable={key}={value}" for key, value in self.variables.items()]
        branch = "CI_COMMIT_BRANCH" in self.variables
        return words + ([] if branch else ["--unset-variable=CI_COMMIT_BRANCH"])


@dataclass
class Job:
    """A job of a pipeline, and how it ended.

    Args:
        stage: the stage's name.
        hand: it waits for a person.
        optional: the pipeline goes on without it.
        state: passed, warning, failed, or empty when it was not started.
        handed: the variables that it hands on to later jobs.
    """

    name: str
    stage: str
    hand: bool = False
    optional: bool = False
    state: str = ""
    seconds: float = 0
    log: list[str] = field(default_factory=list)
    handed: dict[str, str] = field(default_factory=dict)


class Runner:
    """Runs pipelines of a clone, each job in a shell, on what is committed there.

    Args:
        clone: the clone; its .gitlab-ci.yml is what is run.
        home: a folder for the variables, which nobody else can read.
    """

    def __init__(self, ctx: Context, clone: Path, home: Path) -> None:
        self.ctx, self.clone, self.home = ctx, clone, home

    def give(self, variables: Mapping[str, str]) -> None:
        """Set the variables that the project has in GitLab."""
        file = self.home / STATE / "variables.yml"
        file.parent.mkdir(mode=0o700, parents=True)
        values = {key: {"values": {"*": value}} for key, value in variables.items()}
        file.touch(0o600)
        file.write_text(yaml.safe_dump({"global": values}), "utf-8")

    def jobs(self, event: Event) -> list[Job]:
        """The jobs that an event's pipeline has, in the order of their stages."""
        command = self._command(event, "--list-json")
        done = subprocess.run(command, cwd=self.clone, env=_clean(), capture_output=True, text=True)
        start = done.stdout.find("[\n")
        if done.returncode or start < 0:
            said = (done.stderr or done.stdout).strip()
            raise TaskError(
                f"gitlab-ci-local does not take .gitlab-ci.yml:\n{said}", "mend the file"
            )
        listed: list[dict[str, Any]] = json.loads(done.stdout[start:])
        found = [
            Job(each["name"], each["stage"], each["when"] == "manual", bool(each["allow_failure"]))
            for each in listed
            if each["when"] != "never"
        ]
        stages = list(dict.fromkeys(job.stage for job in found))
        return sorted(found, key=lambda job: stages.index(job.stage))

    def run(self, event: Event) -> list[Job]:
        """Run an event's pipeline; a person presses the buttons that it waits for.

        Returns its jobs; those of them that did not run have no state.
        """
        if self.ctx.config.run.dry or self.ctx.config.run.echo:
            console.say(console.colour(shlex.join(self._command(event)), 1))
        if self.ctx.config.run.dry:
            return []
        found = {job.name: job for job in self.jobs(event)}
        pressed = [job.name for job in found.values() if job.hand and not job.optional]
        words = [event.only] if event.only else []
        words += [f"--manual={name}" for name in [*pressed, *words]]
        begun: dict[str, float] = {}
        if not event.only:
            shutil.rmtree(self.clone / STATE, ignore_errors=True)
        for line in self._lines(self._command(event, *words)):
            self._note(line, found, begun)
        for job in found.values():
            # They are there only some time after the job has finished.
            job.handed = self._handed(job.name) if job.state in (PASSED, WARNED) else {}
        return [job for job in found.values() if event.only in ("", job.name)]

    def _note(self, line: str, jobs: Mapping[str, Job], begun: dict[str, float]) -> None:
        """Take down what a line says of a job."""
        told = LINE.fullmatch(line)
        job = jobs.get(told[1]) if told else None
        if told is None or job is None:
            return
        if told[2].startswith("starting"):
            begun[job.name] = time.monotonic()
        elif told[2].startswith("finished"):
            job.seconds = time.monotonic() - begun[job.name]
            job.state = next((ENDS[word] for word in told[3].split() if word in ENDS), PASSED)
            console.say(f"  {job.state:8} {job.name} ({job.seconds:.0f} s)")
        elif told[3] != SILENT:
            job.log.append(told[2].removeprefix("> ") + told[3])

    def _handed(self, name: str) -> dict[str, str]:
        """The variables of a job's dotenv report."""
        # A name as gitlab-ci-local has it in paths.
        safe = re.sub(
            r"[^\w-]+",
            lambda found: base64.urlsafe_b64encode(found[0].encode()).decode().rstrip("="),
            name,
        )
        files = (self.clone / STATE / "artifacts" / safe / ".gitlab-ci-reports/dotenv").rglob(
            "*.env"
        )
        text = "".join(file.read_text("utf-8") for file in files)
        return dict(line.split("=", 1) for line in text.splitlines())

    def _command(self, event: Event, *words: str) -> list[str]:
        always = ["--force-shell-executor", "--no-color", "--max-job-name-padding=0"]
        return [str(TOOL), *always, f"--home={self.home}", *event.words, *words]

    def _lines(self, command: list[str]) -> Iterator[str]:
        """What a command prints; when interrupted, all that it started ends too."""
        child = subprocess.Popen(
            command, cwd=self.clone, env=_clean(), text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            for line in child.stdout or ():
                yield line.rstrip("\n")
            child.wait()
        except BaseException:
            _end(child)
            raise


def _end(child: subprocess.Popen[str]) -> None:
    """Interrupt a command and what it started; kill them when they take more than GRACE seconds."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.communicate(timeout=GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _clean() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not FOREIGN.fullmatch(key)}
