"""A rehearsal's report: a table of its jobs, their logs, and a search of both for secrets."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from .. import console, files, redaction
from ..project.settings import ROOT
from ..registry.reference import short
from .pipeline import BROKEN, PASSED, WARNED, Job, PipelineRun
from .rehearsal import Workspace

FOLDER = ROOT / "reports/rehearsal"
HEADS = ("PIPELINE", "JOB", "RESULT", "TIME", "DIGEST", "WHERE")
COLOURS = {PASSED: 32, WARNED: 33, BROKEN: 31}
# The variables of a lab that are no secrets.
PUBLIC = {"CI_REGISTRY", "CI_REGISTRY_USER", "INVOKE_RUNTIME_CONFIG", "SSH_KNOWN_HOSTS"}


def table(workspace: Workspace) -> str:
    """Return the table of jobs, in colours for a terminal; empty without any job."""
    rows = [_row(run, job) for run in workspace.runs for job in run.jobs]
    if not rows:
        return ""
    text = console.table(rows, HEADS)
    for word, code in COLOURS.items():
        text = re.sub(rf" {word}\b", console.colour(f" {word}", code, sys.stdout), text)
    seconds = round(time.monotonic() - workspace.started)
    return f"{text}\n\n{seconds // 60} min {seconds % 60} s in all"


def _row(run: PipelineRun, job: Job) -> tuple[str, ...]:
    result = job.state or ("by hand" if job.manual else "not run")
    digests = re.findall(r"\S+/\S+@(sha256:[0-9a-f]{64})", "\n".join(job.log))
    seconds = f"{job.seconds:.0f} s" if job.state else ""
    digest = short(digests[-1]) if digests else ""
    return run.event.name, job.name, result, seconds, digest, job.dotenv.get("DEPLOY_URL", "")


def save_logs(workspace: Workspace) -> list[str]:
    """Write the jobs' logs. Returns a message for each log or artifact that reveals a secret."""
    secrets = secret_forms(workspace.variables)
    logs = {
        f"{run.event.name} {job.name}": "".join(f"{line}\n" for line in job.log)
        for run in workspace.runs
        for job in run.jobs
        if job.state
    }
    if logs:
        write_logs(logs, secrets)
    return [
        f"{name} leaks the value of {', '.join(names)}"
        for name, text in (logs | _artifacts(workspace.clone)).items()
        if (names := leaked(text, secrets))
    ]


def secret_forms(variables: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return, by the name of each secret, what reveals it: its lines, plain and encoded."""
    return {
        name: redaction.forms(value, variables.get(name.replace("PASSWORD", "USER"), ""))
        for name, value in variables.items()
        if name not in PUBLIC
    }


def leaked(text: str, secrets: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the names of the secrets that a text reveals."""
    return [name for name, forms in secrets.items() if any(form in text for form in forms)]


def _artifacts(clone: Path) -> dict[str, str]:
    """Return the text of the jobs' artifacts, by file name."""
    found = [file for file in (clone / "reports").rglob("*") if file.is_file()]
    return {str(file.relative_to(clone)): file.read_text("utf-8", "replace") for file in found}


def write_logs(
    logs: Mapping[str, str], secrets: Mapping[str, Iterable[str]], folder: Path = FOLDER
) -> None:
    """Replace the last rehearsal's logs with these; secrets in them are masked."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in logs.items():
        for secret, forms in secrets.items():
            for form in forms:
                text = text.replace(form, f"[{secret}]")
        files.write({f"{folder}/{re.sub(r'[^A-Za-z0-9.]+', '-', name)}.log": text})
