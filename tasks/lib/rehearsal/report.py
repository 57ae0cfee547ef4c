"""How a rehearsal went: a row for each job, and what is there afterwards."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

from ..console import colour, table
from ..registry.reference import short
from . import logs
from .gitlab_ci_local import BROKEN, PASSED, WARNED

if TYPE_CHECKING:
    from .gitlab_ci_local import Job
    from .rehearsal import PipelineRun, Workspace

HEADS = ("PIPELINE", "JOB", "RESULT", "TIME", "DIGEST", "WHERE")
COLOURS = {PASSED: 32, WARNED: 33, BROKEN: 31}


def report(stage: Workspace) -> str:
    """The table, as people like to see it in a terminal."""
    rows = [_row(act, job) for act in stage.acts for job in act.jobs]
    if not rows:
        return ""
    shown = table(rows, HEADS)
    for word, code in COLOURS.items():
        shown = re.sub(rf" {word}\b", colour(f" {word}", code, sys.stdout), shown)
    seconds = round(time.monotonic() - stage.began)
    return f"{shown}\n\n{seconds // 60} min {seconds % 60} s in all"


def _row(act: PipelineRun, job: Job) -> tuple[str, ...]:
    result = job.state or ("by hand" if job.hand else "not run")
    digests = re.findall(r"\S+/\S+@(sha256:[0-9a-f]{64})", "\n".join(job.log))
    return (
        act.event.name,
        job.name,
        result,
        f"{job.seconds:.0f} s" if job.state else "",
        short(digests[-1]) if digests else "",
        job.handed.get("DEPLOY_URL", ""),
    )


def search(stage: Workspace) -> list[str]:
    """Keep what the jobs wrote, and search it for secrets. Returns what was found, and where."""
    secrets = logs.forms(stage.variables)
    jobs = {
        f"{act.event.name} {job.name}": "".join(f"{line}\n" for line in job.log)
        for act in stage.acts
        for job in act.jobs
        if job.state
    }
    if jobs:
        logs.keep(jobs, secrets)
    written = jobs | logs.artifacts(stage.clone)
    return [
        f"the value of {', '.join(names)} is in what {where} wrote"
        for where, text in written.items()
        if (names := logs.leaked(text, secrets))
    ]
