"""GitLab's pipelines on this machine, through gitlab-ci-local: the one door to it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Mapping

import yaml
from invoke import Context

from .. import console, process
from ..errors import ExitCode, TaskError
from ..files import own_folder, write_private
from ..project.settings import ROOT
from . import tool
from .pipeline import ENDS, PASSED, WARNED, Event, Job

LOCKED = ROOT / "requirements/node"
TOOLS = ROOT / ".lab/.tools"
TOOL = TOOLS / "node_modules/.bin/gitlab-ci-local"
STATE = ".gitlab-ci-local"
LINE = re.compile(r"(\S+) (starting shell \(|finished in |\$ |> ?)(.*)")
# What gitlab-ci-local prints for a job without output.
SILENT = "still running..."


def install(ctx: Context) -> None:
    """Install the locked gitlab-ci-local in this clone. Refuses without npm, rsync or git."""
    for name, package in {"npm": "Node.js 20 or later", "rsync": "rsync", "git": "git"}.items():
        if not shutil.which(name):
            raise TaskError(f"{name} is not installed", f"install {package}", ExitCode.REFUSED)
    installed = TOOLS / "package-lock.json"
    if TOOL.exists() and installed.read_bytes() == (LOCKED / installed.name).read_bytes():
        return
    console.step("installing gitlab-ci-local")
    if not ctx.config.run.dry:
        shutil.rmtree(TOOLS, ignore_errors=True)
        shutil.copytree(LOCKED, own_folder(TOOLS.parent) / TOOLS.name)
    words = ["--prefix", str(TOOLS), "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    if process.run(ctx, ["npm", "ci", *words]):
        raise TaskError("npm could not install gitlab-ci-local", "see above, then retry")


class Runner(tool.Runner):
    """Runs pipelines of a clone: each job in a shell, on the committed files."""

    def set_variables(self, variables: Mapping[str, str]) -> None:
        """Set the project's CI/CD variables."""
        file = self.home / STATE / "variables.yml"
        file.parent.mkdir(mode=0o700, parents=True)
        values = {key: {"values": {"*": value}} for key, value in variables.items()}
        write_private(file, yaml.safe_dump({"global": values}))

    def jobs(self, event: Event) -> list[Job]:
        """List the jobs of an event's pipeline, in the order of their stages."""
        command = self._command(event, "--list-json")
        done = subprocess.run(
            command, cwd=self.clone, env=tool.environment(), capture_output=True, text=True
        )
        start = done.stdout.find("[\n")
        if done.returncode or start < 0:
            output = (done.stderr or done.stdout).strip()
            raise TaskError(f"gitlab-ci-local rejects .gitlab-ci.yml:\n{output}", "fix the file")
        jobs = [
            Job(job["name"], job["stage"], job["when"] == "manual", bool(job["allow_failure"]))
            for job in json.loads(done.stdout[start:])
            if job["when"] != "never"
        ]
        stages = list(dict.fromkeys(job.stage for job in jobs))
        return sorted(jobs, key=lambda job: stages.index(job.stage))

    def run(self, event: Event) -> list[Job]:
        """Run an event's pipeline, with the manual jobs that block it, and return its jobs."""
        if tool.is_dry(self.ctx, self._command(event)):
            return []
        jobs = {job.name: job for job in self.jobs(event)}
        if not event.only:
            shutil.rmtree(self.clone / STATE, ignore_errors=True)
        started: dict[str, float] = {}
        for line in tool.lines(self._command(event, *_selection(event, jobs)), self.clone):
            _record(line, jobs, started)
        for job in jobs.values():
            # gitlab-ci-local writes the reports only some time after the job has finished.
            job.dotenv = self._dotenv(job.name) if job.state in (PASSED, WARNED) else {}
        return [job for job in jobs.values() if event.only in ("", job.name)]

    def _dotenv(self, name: str) -> dict[str, str]:
        """Read the variables of a job's dotenv report."""
        # gitlab-ci-local encodes these characters of a job's name in paths.
        safe = re.sub(
            r"[^\w-]+",
            lambda match: base64.urlsafe_b64encode(match[0].encode()).decode().rstrip("="),
            name,
        )
        folder = self.clone / STATE / "artifacts" / safe / ".gitlab-ci-reports/dotenv"
        text = "".join(file.read_text("utf-8") for file in folder.rglob("*.env"))
        return dict(line.split("=", 1) for line in text.splitlines())

    def _command(self, event: Event, *words: str) -> list[str]:
        always = ["--force-shell-executor", "--no-color", "--max-job-name-padding=0"]
        return [str(TOOL), *always, f"--home={self.home}", *event.options, *words]


def _selection(event: Event, jobs: Mapping[str, Job]) -> list[str]:
    """Build the arguments that name the jobs to run: an event's one job, and manual jobs."""
    blocking = [job.name for job in jobs.values() if job.manual and not job.optional]
    only = [event.only] if event.only else []
    return only + [f"--manual={name}" for name in [*blocking, *only]]


def _record(line: str, jobs: Mapping[str, Job], started: dict[str, float]) -> None:
    """Record what a line of output says about a job."""
    match = LINE.fullmatch(line)
    if not match or not (job := jobs.get(match[1])):
        return
    if match[2].startswith("starting"):
        started[job.name] = time.monotonic()
    elif match[2].startswith("finished"):
        state = next((ENDS[word] for word in match[3].split() if word in ENDS), PASSED)
        job.end(state, time.monotonic() - started[job.name])
    elif match[3] != SILENT:
        job.log.append(match[2].removeprefix("> ") + match[3])
