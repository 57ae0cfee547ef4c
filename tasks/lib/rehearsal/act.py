"""GitHub's pipelines on this machine, through act: the one door to it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

import yaml
from invoke import Context

from .. import process
from ..errors import ExitCode, TaskError
from ..files import write_private
from ..project import requirements
from ..project.settings import ROOT
from . import tool
from .pipeline import BROKEN, PASSED, WARNED, Event, Job

FILE, JOBS = ".github/workflows/ci.yml", ".github/workflows/pipeline.yml"
# What jobs run on, if the input `runner` is not set: this machine.
RUNNER = "ubuntu-24.04"
# Of GitHub's actions, act does the checkout; the others would need GitHub: this one does nothing.
NOTHING = {
    "name": "nothing",
    "runs": {"using": "composite", "steps": [{"run": ":", "shell": "sh"}]},
}
OTHERS = re.compile(r"uses: (actions/(?!checkout)[\w-]+@\w+)")
# The condition of a job that starts by hand, or when a pull request is closed.
BY_HAND = re.compile(r"(inputs\.job|action) == '\w")
SECRET = re.compile(r"SSH_.*|.*PASSWORD")


def install(ctx: Context) -> None:
    """Install the locked act into the pipeline's environment. Refuses without GitHub's files."""
    if not (ROOT / JOBS).is_file():
        raise TaskError(f"{JOBS} not found", "use --ci=gitlab", ExitCode.REFUSED)
    requirements.install(ctx, "act")


class Runner(tool.Runner):
    """Runs pipelines of a clone: each job on this machine, on a copy of the committed files."""

    def set_variables(self, variables: Mapping[str, str]) -> None:
        """Set the repository's secrets and variables, and what a runner has by itself."""
        files: dict[str, dict[str, str]] = {"secret": {}, "var": {}, "env": {}}
        for name, value in variables.items():
            kind = "secret" if SECRET.fullmatch(name) else "var"
            files["env" if name.startswith("INVOKE_") else kind][name] = value
        (self.home / "nothing").mkdir(mode=0o700, parents=True)
        for kind, values in files.items():
            write_private(self.home / f"{kind}.yml", yaml.safe_dump(values))
        write_private(self.home / "nothing/action.yml", yaml.safe_dump(NOTHING))

    def run(self, event: Event) -> list[Job]:
        """Run an event's pipeline, and return its jobs, and those that could follow by hand."""
        name, payload = occurred(event)
        if tool.is_dry(self.ctx, self._command(name)):
            return []
        write_private(self.home / "event.json", json.dumps(payload))
        jobs, started = self._jobs(), dict[str, float]()
        lines = [
            _record(line, jobs, started) for line in tool.lines(self._command(name), self.clone)
        ]
        if not started:
            raise TaskError("\n".join([f"act runs no job of {FILE}:", *lines[-9:]]), "fix the file")
        ran = [jobs[name] for name in started]
        places = {job.name.partition("-")[2] for job in ran if job.dotenv} - {""}
        manual = [job for job in jobs.values() if job.manual and job not in ran]
        return ran + [job for job in manual if job.name.partition("-")[2] in places]

    def _jobs(self) -> dict[str, Job]:
        found = yaml.safe_load((self.clone / JOBS).read_text("utf-8"))["jobs"]
        return {
            name: Job(name, "", manual, manual or bool(job.get("continue-on-error")))
            for name, job in found.items()
            for manual in [bool(BY_HAND.search(job.get("if", "")))]
        }

    def _command(self, name: str) -> list[str]:
        options = {f"{kind}-file": f"{self.home}/{kind}.yml" for kind in ("secret", "var", "env")}
        options |= {"workflows": FILE, "platform": f"{RUNNER}=-self-hosted"}
        options |= {"eventpath": f"{self.home}/event.json", "action-cache-path": f"{self.home}/act"}
        others = {*OTHERS.findall((ROOT / JOBS).read_text("utf-8"))}
        words = [f"--{key}={value}" for key, value in options.items()]
        words += [f"--local-repository={action}={self.home}/nothing" for action in others]
        # Of jobs that start at the same time, one sometimes fails at once: one at a time.
        words += ["--concurrent-jobs=1", "--no-cache-server"]
        return [process.tool("act"), name, "--json", *words]


def occurred(event: Event) -> tuple[str, dict[str, Any]]:
    """Return the name and the payload that GitHub has for an event."""
    ref, main = (event.variables[f"CI_{key}"] for key in ("COMMIT_REF_NAME", "DEFAULT_BRANCH"))
    kind = "tags" if "CI_COMMIT_TAG" in event.variables else "heads"
    payload = {"ref": f"refs/{kind}/{ref}", "repository": {"default_branch": main}}
    if number := event.variables.get("CI_MERGE_REQUEST_IID"):
        request = {"head": {"ref": ref}, "base": {"ref": main}}
        action = "closed" if event.only else "opened"
        more = {"action": action, "number": int(number), "pull_request": request}
        return "pull_request", {**payload, **more}
    if event.only:
        return "workflow_dispatch", {**payload, "inputs": {"job": event.only}}
    return "push", payload


def _record(line: str, jobs: Mapping[str, Job], started: dict[str, float]) -> str:
    """Record what a line of output says about a job. Returns its text."""
    said = json.loads(line) if line.startswith("{") else {"msg": line}
    if not (job := jobs.get(said.get("jobID", ""))):
        return str(said["msg"])
    began = started.setdefault(job.name, time.monotonic())
    if said.get("raw_output"):
        job.log.append(said["msg"].rstrip("\n"))
    elif said.get("command") == "set-output":
        job.dotenv[said["name"]] = said["arg"]
    elif "jobResult" in said:
        failed = WARNED if job.optional and not job.manual else BROKEN
        state = PASSED if said["jobResult"] == "success" else failed
        job.end(state, time.monotonic() - began)
    elif said["msg"].endswith(f"Run Main {said.get('step')}"):
        job.log.append(f"$ {said['step']}")
    return str(said["msg"])
